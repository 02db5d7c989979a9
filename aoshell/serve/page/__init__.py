"""The page for people at `/`, and its data at `/~aoshell@1.0/page/…`. All of it is read-only.

`role` claims requests, `accept` tells a browser from other clients, `files` has the page itself,
`data` makes the JSON that it shows, `events` reports changes to it. The page shows data of others
in text nodes only (static/dom.js).
"""
