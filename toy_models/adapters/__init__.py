"""Models of other libraries as an audit asks for them."""
