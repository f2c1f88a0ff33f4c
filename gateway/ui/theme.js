// Dresses the page before it is drawn: light or dark if the reader chose, else as the system is.
{
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}
