"""The files of `/docs`: Swagger UI as its project ships it, and the page that starts it."""
