"""What the shell shows: text, tables, JSON, errors with their source lines.

What processes and nodes say is untrusted: `text.clean` escapes it. Only `render` and `streams`
write.
"""
