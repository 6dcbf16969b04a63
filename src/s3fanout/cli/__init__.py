"""The command line: one file a command. Standard output is data, standard error is for people."""
