"""The page for people at `/`, and what it asks for, all of it read-only: `/~aoshell@1.0/page/…`.

`role` claims requests, `accept` tells a browser from other clients, `files` has the page itself,
`data` what it shows as JSON, `events` tells it of changes. The page makes text nodes of what others
wrote, and nothing else (static/dom.js).
"""
