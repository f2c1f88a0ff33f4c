// Colours of the style sheet for what is drawn on a canvas, which knows neither its properties nor light from dark.

/** What `--names` are at this element, as a canvas takes them. */
export function coloursAt(element, names) {
  const before = element.style.color;
  const colours = names.map((name) => {
    element.style.color = `var(${name})`;
    return getComputedStyle(element).color;
  });
  element.style.color = before;
  return colours;
}
