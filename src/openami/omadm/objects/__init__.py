"""Management objects: their DDF files, the checks of their values, and typed views of them.

DevInfo, DevDetail, DMAcc, Inbox, FUMO and SCOMO are OMA's; SCHED and AMI are this project's own.
"""
