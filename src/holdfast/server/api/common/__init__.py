"""What every API is built from: errors, authentication, parsing of parameters, cursors, routes. Imports no API."""
