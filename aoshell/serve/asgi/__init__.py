"""Everything about one port: connections, requests, access checks and bounds."""
