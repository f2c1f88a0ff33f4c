// Starts Swagger UI on the document that the same server serves.
"use strict";

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function dress() {
  document.documentElement.classList.toggle("dark-mode", prefersDark.matches);
}

dress();
prefersDark.addEventListener("change", dress);

SwaggerUIBundle({
  dom_id: "#reference",
  url: "openapi.yaml",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  // A key is forgotten with the page.
  persistAuthorization: false,
  tryItOutEnabled: true,
  // Nobody else is asked whether the document is valid.
  validatorUrl: null,
});
