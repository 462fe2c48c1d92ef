"""A ModelArts center on this machine: real signatures, durable jobs, real processes, real faults.

Run it as a program (it prints one JSON line with its addresses when it is ready)::

    python -m tests.modelarts_center --dir DIR --listen 127.0.0.1:0

or in process::

    async with center.running(CenterSettings(tmp_path)) as ma:
        ma.url                                      # the endpoint; keys in settings.access_keys
        job = await ma.until_phase("cor-1-a1", "Running")
        fault = ma.faults.add(Fault("create", "drop"))   # after the job was made
        await ma.faults.fired(fault)

or as a child that can be killed and started again on the same port and directory
(``child.CenterProcess``), with ``control.Control`` to inject faults from outside.

What it is not: the installation in Wuhan. It proves the contract as it was read from the official
SDK 3.1.219 and public pages; README.md lists what is derived from where and what is assumed.
"""
