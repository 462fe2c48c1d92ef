"""``corridor doctor``: looks at what the service stands on, and says what to do about it.

Facts are read at the edge (``read_*``, ``scheduler.store.checkup``), judged by pure functions
(``judge_*``) into findings, and put into words by the command line. It never writes anything.
"""
