"""Campaigns: a release to many devices, in groups, within budgets and windows.

``model`` says what a campaign is, ``machine`` and ``groups`` how it lives, ``sites`` and ``plan``
which DCUs are in which group and order, ``dryrun`` what it would do, ``progress`` what is counted,
``allowance`` and ``dispatch`` who may be given work now, ``windows`` when, ``pace`` how long it
will take, ``timeline`` and ``why`` what is said of one device, ``selection`` who comes and leaves.
``engine`` wires one campaign that is at work.
"""
