"""MiniStack, with what it lacks for the template. It is started by `emulated.py`, which tells it the port and the rest."""

from ministack import app

from additions import resource_types, rights, rotation

resource_types.add()
rotation.add()
rights.add()
app.main()
