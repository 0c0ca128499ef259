"""`python -m ocunet_pacs` is `ocunet-pacs`; the supervisor starts its roles this way."""

from ocunet_pacs.cli.main import run

if __name__ == "__main__":
    run()
