"""CloudEvents SQL, version 1.0.0: the filter that a partner puts on its subscription.

Section numbers in this package are those of the specification (cloudevents/spec, cesql/spec.md).
Where the specification leaves a choice, this is what was chosen and why:

- Errors (§4.1): an evaluation stops at its first error. Its value is then the zero value of the
  whole expression's type; only a function that fails last of all gives its own value (`LEFT` of a
  negative length: the text). The specification recommends this for filters, and its conformance
  suite expects it.
- A filter delivers an event only when its value is the boolean true and nothing went wrong (§1.2,
  and the dialect `sql` of the Subscriptions API): an event that lacks an attribute the filter
  reads, or whose attribute cannot be cast, is not delivered.
- AND, OR and XOR share one precedence and bind from the left (§3.6), unlike other SQL:
  `a OR b AND c` is `(a OR b) AND c`. Filters are written back with brackets there. The grammar file
  beside the specification binds them from the right; the text is normative, the file is not.
- A sum, difference, product, quotient or negation beyond 32 bits is a MathError with the value 0,
  the zero value (§3.3); §3.4 does not say.
- All elements of a set are evaluated (§3.1: it has no order), so one that cannot be cast is an
  error wherever it stands. Only AND and OR stop early.
- In a string the delimiter alone is escaped, by a backslash (§2.2); any other backslash stands for
  itself, and two of them are two. So no string ends in an odd number of backslashes, and a doubled
  quote is no quote.
- Attribute names are read without regard to case, as the conformance suite does: those of an event
  are always lower case.

Functions of users (§3.5, SHOULD) are not offered. A filter comes from outside and runs for every
event, hence the limits in `parser` and `functions`.
"""
