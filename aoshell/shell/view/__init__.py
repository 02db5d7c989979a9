"""What the shell shows: text, tables, JSON, errors with their source lines.

Text from processes and nodes is untrusted: `text.clean` escapes it. Only `render` and `streams`
write.
"""
