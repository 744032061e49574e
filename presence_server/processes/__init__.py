"""Several server processes under one parent, which answers no visitor itself."""
