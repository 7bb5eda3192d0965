"""Who calls and what they may do: accounts, keys, tokens, sessions, roles, shares, audit."""
