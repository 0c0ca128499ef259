"""`python -m training` is `ocunet-train`. torchrun starts its processes this way: `-m training train ...`."""

from training.cli.main import run

if __name__ == "__main__":
    run()
