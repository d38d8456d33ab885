"""Python imports this at the start of a process that has `tests` on its path."""

from isolation import hide_installed

hide_installed()
