"""The REST interface: one file per resource, thin views over `app.service.Service`."""
