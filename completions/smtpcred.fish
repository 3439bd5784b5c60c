complete --keep-order --exclusive --command smtpcred --arguments "(COMPLETE=fish smtpcred -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
