"""XML in the headers of files, parsed safely."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from monuseg_cli.imaging.to_rgb import RESAVE_HINT, ImageError


class _NoDoctype(TreeBuilder):
    """Builds the tree, and refuses document types, which could define entities."""

    def doctype(self, *_: str | None) -> None:
        message = f"its XML has a document type, which can define entities and is refused; {RESAVE_HINT}"
        raise ImageError(message)


def parse_xml(text: str) -> Element | None:
    """Read an XML document. The entity of the micro sign in HTML, which XML does not define, is read, too.

    Returns
    -------
    Element or None
        The root; None if the text is not well-formed.

    Raises
    ------
    ImageError
        If it has a document type declaration.
    """
    parser = XMLParser(target=_NoDoctype())
    try:
        parser.feed(text.strip().strip("\0").replace("&micro;", "\N{MICRO SIGN}"))
        root = parser.close()
    except ImageError:
        raise
    except (ParseError, ValueError):
        return None
    return root if isinstance(root, Element) else None


def tag_of(element: Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """List the direct children of this name, in any namespace."""
    return (child for child in element if tag_of(child) == name)


def descendants(element: Element, name: str) -> Iterator[Element]:
    """List all descendants of this name, in any namespace."""
    return (child for child in element.iter() if tag_of(child) == name)


def attribute(element: Element, name: str) -> str | None:
    """Return the value of an attribute without surrounding spaces; None if it is absent or empty."""
    return (element.get(name) or "").strip() or None


def int_attribute(element: Element, name: str, default: int = 0) -> int:
    """Return an attribute as an integer; the default if it is not one."""
    try:
        return int(element.get(name, default))
    except ValueError:
        return default
