"""Facebook Login: begun by a back end, granted in a browser, and finished by either."""
