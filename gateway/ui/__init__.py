"""The files of the dashboard: its page, `index.html`, and the styles, scripts and pictures that the page loads."""
