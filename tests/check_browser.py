"""One line, and failure, where there is no browser for the journey tests."""

from tests.services import chromium

if __name__ == "__main__":
    try:
        chromium()
    except AssertionError as error:
        raise SystemExit(str(error)) from None
