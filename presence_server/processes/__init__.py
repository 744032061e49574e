"""Several server processes under one parent, which answers no visitor itself."""

# By which a server process has what its parent gives it. No setting: it does not begin with
# PRESENCE_.
INHERITANCE_VARIABLE = "_PRESENCE_INHERITED"
