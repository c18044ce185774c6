"""Reads the pages' sources: what reaches a screen as Markdown or HTML, and whether all of it is ours or quoted.

An expression is judged piece by piece: constants, translated words, numbers and what passed through ``quoted`` or
``in_html`` are safe; a name is what was assigned to it; a call of a function of the same page is what that returns. What is
left over is not safe unless it stands on the list in test_quoting.py. ``others``: the other pages, by module name.
"""

import ast
import re
from fnmatch import translate
from functools import cached_property

MARKDOWN = {
    "error", "warning", "info", "success", "exception", "markdown", "caption", "write", "title", "header", "subheader",
    "toast", "metric", "progress", "button", "download_button", "link_button", "checkbox", "toggle", "radio", "selectbox",
    "pills", "segmented_control", "slider", "select_slider", "multiselect", "number_input", "text_input", "text_area",
    "file_uploader", "expander", "popover", "tabs", "spinner", "status", "badge", "latex",
}  # fmt: skip
HTML = {"html"}
OPTIONS = {"radio", "pills", "segmented_control"}
"""Widgets whose options are Markdown; those of a selectbox are plain text."""
KEYWORDS = {"help", "label", "text", "body", "options", "format_func", "placeholder", "icon"}
MARKED_DOWN = {"quoted", "bare_name"}
IN_HTML = {"in_html", "bare_name"}
NUMBERS = {"len", "int", "float", "round", "sum", "abs", "bool", "range"}
KEEPERS = {"join", "get", "pop", "lower", "upper", "replace", "removeprefix", "split", "items", "values"}
"""Methods that add nothing of their own to what they are given."""
NUMERIC = ("d", "f", "e", "g", "%", "n", ",")


class Source:
    """One page: what its screens are given."""

    def __init__(self, text, ours=(), others=None):
        self.tree = ast.parse(text)
        self.ours = re.compile("|".join(map(translate, ours)) or r"(?!)")
        self.others = {} if others is None else others
        self._above = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def functions(self):
        return {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)}

    def unsafe(self):
        """(line, expression) of everything shown that is neither ours nor quoted."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                for shown, html in self._shown(node):
                    for piece in self.judge(shown, html, ()):
                        found[node.lineno, ast.unparse(piece)] = None
        return list(found)

    def _shown(self, call):
        name = call.func.attr
        if name in HTML:
            yield from ((argument, True) for argument in call.args)
        elif name in MARKDOWN and not self._is_text_of_a_library(call):
            first = call.args[: 2 if name in OPTIONS or name == "metric" or name == "progress" else 1]
            yield from ((argument, False) for argument in first if not isinstance(argument, ast.Starred))
        if name in MARKDOWN | {"column_config"}:
            for keyword in call.keywords:
                plain = keyword.arg in ("options", "format_func") and name not in OPTIONS
                if keyword.arg in KEYWORDS and not plain:
                    yield keyword.value, False

    @staticmethod
    def _is_text_of_a_library(call):
        """``re.match(...)``, ``log.info(...)``: a sink is a method of Streamlit or of one of its containers."""
        return isinstance(call.func.value, ast.Name) and call.func.value.id in ("log", "re", "logging")

    # -- the judgement -----------------------------------------------------------------------------------------

    def judge(self, node, html, seen):
        """The pieces of an expression that are not safe."""
        if id(node) in seen:
            return []
        seen = (*seen, id(node))

        def all_of(nodes):
            return [piece for one in nodes for piece in self.judge(one, html, seen)]

        if self.ours.fullmatch(ast.unparse(node)):
            return []
        if isinstance(node, ast.Constant | ast.Compare) or constant(node):
            return []
        if isinstance(node, ast.JoinedStr):
            return all_of(
                part.value for part in node.values if isinstance(part, ast.FormattedValue) and not number(part)
            )
        if isinstance(node, ast.BinOp):
            return [] if not isinstance(node.op, ast.Add) else all_of((node.left, node.right))
        if isinstance(node, ast.UnaryOp):
            return []
        if isinstance(node, ast.BoolOp):
            return all_of(node.values)
        if isinstance(node, ast.IfExp):
            return all_of((node.body, node.orelse))
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return all_of(node.elts)
        if isinstance(node, ast.Dict):
            return all_of(node.values)
        if isinstance(node, ast.Starred | ast.NamedExpr):
            return all_of((node.value,))
        if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp):
            return all_of((node.elt,))
        if isinstance(node, ast.Lambda):
            return all_of((node.body,))
        if isinstance(node, ast.Subscript):
            return all_of((node.value,))
        if isinstance(node, ast.Attribute):
            found = self.elsewhere(ast.unparse(node), html)
            return [node] if found is None else found
        if isinstance(node, ast.Call):
            return self._call(node, html, all_of)
        if isinstance(node, ast.Name):
            return self._name(node, html, seen)
        return [node]

    def _call(self, node, html, all_of):
        called = ast.unparse(node.func)
        clean = IN_HTML if html else MARKED_DOWN
        if called in clean or called in NUMBERS or self.ours.fullmatch(called):
            return []
        if called in ("_", "numeral"):  # translated words, and numbers rewritten: as safe as what they are given
            return all_of(node.args)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            base = node.func.value
            given = [keyword.value for keyword in node.keywords if not numeric_place(base, keyword.arg)]
            return all_of((base, *node.args, *given))
        if isinstance(node.func, ast.Attribute) and node.func.attr in KEEPERS:
            return all_of((node.func.value, *(node.args[1:] if node.func.attr in ("get", "pop") else node.args)))
        if called in ("list", "tuple", "sorted", "dict", "zip", "enumerate", "partial"):
            return all_of(node.args)
        if called == "str" and len(node.args) == 1:
            return all_of(node.args)
        found = self.elsewhere(called, html)
        return [node] if found is None else found

    def elsewhere(self, name, html):
        """What a function of this or of another page may return that is not safe; None where there is no such function."""
        module, _, function = name.rpartition(".")
        source = self.others.get(module) if module else self
        if source is None or function not in source.functions:
            return None
        returned = [
            one.value for one in ast.walk(source.functions[function]) if isinstance(one, ast.Return) and one.value
        ]
        return [piece for one in returned for piece in source.judge(one, html, ())]

    def _name(self, node, html, seen):
        """Whatever was assigned to it where it can be seen; a parameter that is a number is one."""
        if (found := self.elsewhere(node.id, html)) is not None:
            return found
        values = []
        for scope in self._scopes(node):
            values = list(assigned(scope, node.id))
            if values:
                break
            parameter = next((a for a in arguments(scope) if a.arg == node.id), None)
            if parameter is not None:
                kind = ast.unparse(parameter.annotation) if parameter.annotation else ""
                name = ast.Name(f"{getattr(scope, 'name', 'lambda')}({node.id})")
                return [] if kind in ("int", "float", "bool") or self.ours.fullmatch(name.id) else [name]
        if not values:
            return [node]
        return [piece for value in values for piece in self.judge(value, html, seen)]

    def _scopes(self, node):
        while node in self._above:
            node = self._above[node]
            if isinstance(node, ast.FunctionDef | ast.Lambda | ast.Module | ast.GeneratorExp | ast.ListComp):
                yield node


def constant(node):
    """A constant of a module, by its name."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name.isupper()


def number(part):
    """Whether an f-string's place takes numbers only, by its format."""
    spec = "".join(v.value for v in part.format_spec.values if isinstance(v, ast.Constant)) if part.format_spec else ""
    return spec.endswith(NUMERIC)


def numeric_place(base, name):
    """The same for a place of ``"{name:.2f}".format(name=...)``, with the words in ``_(...)`` or not."""
    inner = base.args[0] if isinstance(base, ast.Call) and base.args else base
    text = inner.value if isinstance(inner, ast.Constant) and isinstance(inner.value, str) else ""
    return any(f"{{{name}:" in text and text.split(f"{{{name}:")[1].split("}")[0].endswith(kind) for kind in NUMERIC)


def arguments(scope):
    if isinstance(scope, ast.FunctionDef | ast.Lambda):
        return [*scope.args.args, *scope.args.kwonlyargs]
    return []


def assigned(scope, name):
    """Every value that a name is given in a scope. A loop gives it its sequence's elements; a handler, an error."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from taken(target, node.value, name)
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            yield from taken(node.target, node.value, name)
        elif isinstance(node, ast.For | ast.comprehension):
            yield from taken(node.target, node.iter, name, whole=True)
        elif isinstance(node, ast.ExceptHandler) and node.name == name:
            yield ast.Attribute(ast.Name("except"), name)


def rows_of(value, width):
    """Whether a sequence is written out, each element with so many parts."""
    return isinstance(value, ast.Tuple | ast.List) and all(
        isinstance(one, ast.Tuple) and len(one.elts) == width for one in value.elts
    )


def taken(target, value, name, *, whole=False):
    if isinstance(target, ast.Starred):
        target = target.value
    if isinstance(target, ast.Name) and target.id == name:
        yield value
    if isinstance(target, ast.Tuple | ast.List):
        pairs = isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts) and not whole
        if whole and isinstance(value, ast.Call) and ast.unparse(value.func) == "zip":
            value, pairs, whole = ast.Tuple(value.args), len(value.args) == len(target.elts), True
        if whole and rows_of(value, len(target.elts)):
            columns = zip(*(row.elts for row in value.elts), strict=True)
            value, pairs, whole = ast.Tuple([ast.Tuple(list(column)) for column in columns]), True, True
        for place, one in enumerate(target.elts):
            yield from taken(one, value.elts[place] if pairs else value, name, whole=whole)
