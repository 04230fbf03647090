"""Print every `NAME>=VERSION` of setup.cfg, the extra `test` included, as `NAME==VERSION`."""

import configparser

config = configparser.ConfigParser()
config.read("setup.cfg")
listed = config["options"]["install_requires"] + config["options.extras_require"]["test"]
for line in listed.splitlines():
    if ">=" in line:
        print(line.strip().replace(">=", "=="))
