-- What those may do who are not the store's owner. `reach` is all, domains or user.
CREATE TABLE roles (
    holder TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    reach TEXT NOT NULL,
    username TEXT,
    granted_at INTEGER NOT NULL,
    hourly_changes INTEGER NOT NULL,
    hour_from INTEGER NOT NULL,
    changes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE role_domains (
    holder TEXT NOT NULL REFERENCES roles (holder) ON DELETE CASCADE,
    domain TEXT NOT NULL,
    PRIMARY KEY (holder, domain)
) STRICT, WITHOUT ROWID;
