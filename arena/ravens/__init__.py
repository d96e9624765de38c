"""Messages to people who are not looking: ravens carry news of the realm to a phone, a chat or a mailbox (apprise)."""
