"""A table of types: what a request's body may hold, as JSON.

A type is the name of a scalar (`any`, `text`, `int`, `number`, `bool`, `null`, `bytes`, `file`) or an
object with one member: `list` or `map` of a type, `or` of several, `is` one of several values, `of` a
type that the table names, or `text`/`list` with bounds (`bounded`). A type that has a name has
members; a member that must be there ends in `!`, and of a `union` exactly one is there.
"""

import json


def union(kinds):
    """Several types as one; what one of them says anyway is left out."""
    flat = []
    for kind in kinds:
        for one in kind["or"] if isinstance(kind, dict) and "or" in kind else [kind]:
            if one is not None and one not in flat:
                flat.append(one)
    if "any" in flat:
        return "any"
    if "text" in flat:
        flat = [kind for kind in flat if not is_words(kind)]
    words = [word for kind in flat if is_literal(kind) for word in kind["is"]]
    if words:
        flat = [kind for kind in flat if not is_literal(kind)] + [literal(words)]
    if "number" in flat:
        flat = [kind for kind in flat if kind != "int"]
    if not flat:
        return None
    return flat[0] if len(flat) == 1 else {"or": flat}


def is_literal(kind):
    return isinstance(kind, dict) and "is" in kind


def is_words(kind):
    return is_literal(kind) and all(isinstance(word, str) for word in kind["is"])


def literal(values):
    return {"is": sorted(set(values), key=lambda value: (str(type(value)), value))}


def together(one, other):
    """Members that either of two types has; what must be there must be there in both."""
    made = {}
    for name in sorted({name.rstrip("!") for name in [*one, *other]}):
        told = [members[key] for members in (one, other) for key in (name, name + "!") if key in members]
        required = name + "!" in one and name + "!" in other
        made[name + "!" * required] = union(told)
    return made


class Table:
    """Types by name, in which a type may hold itself."""

    def __init__(self, source):
        self.source = source
        self.names = {}
        self.types = {}
        self.requests = {}

    def named(self, key, name, make):
        """The type that goes by a key: made once, and named so that no other has its name."""
        if key not in self.names:
            taken = set(self.names.values())
            number = 2
            unique = name
            while unique in taken:
                unique = f"{name}{number}"
                number += 1
            self.names[key] = unique
            self.types[unique] = make()
        return {"of": self.names[key]}

    def merged(self, kind):
        """Several types of one request, such as the streamed and the other, as the first of them."""
        if not isinstance(kind, dict) or "or" not in kind:
            return kind
        first, *rest = [one["of"] for one in kind["or"]]
        for name in rest:
            # Nothing else knows the types of a whole request.
            other = self.types.pop(name)["members"]
            self.types[first]["members"] = together(self.types[first]["members"], other)
        return {"of": first}

    def text(self):
        """The table as it is kept: a line for each type, so that a change shows as one."""

        def line(name, value):
            return f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'), sort_keys=True)}"

        def lines(of):
            return ",\n".join(line(name, of[name]) for name in sorted(of))

        return (
            f"{{\n{line('source', self.source)},\n"
            f'"requests": {{\n{lines(self.requests)}\n}},\n'
            f'"types": {{\n{lines(self.types)}\n}}\n}}\n'
        )
