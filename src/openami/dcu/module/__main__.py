"""``python -m openami.dcu.module STATE FACTORY``, as the DCU starts it."""

from openami.dcu.module.process import main

if __name__ == "__main__":
    main()
