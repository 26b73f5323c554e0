#!/bin/sh
# Says in one line each what this machine lacks to set up and run Eldex, and changes nothing.
# Usage: prerequisites.sh [python]. Exit 0: all there.
python=${1:-python3}
missing=0

lacks() {
    printf 'eldex: %s\n' "$1" >&2
    missing=1
}

if ! command -v "$python" >/dev/null 2>&1; then
    lacks "Python 3.11 or newer is needed and '$python' is not there: install it (Debian: apt install python3 python3-venv), or name another: make PYTHON=python3.12"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    lacks "Python 3.11 or newer is needed and '$python' is $("$python" -c 'import platform; print(platform.python_version())'): install a newer one (Debian 12 or later: apt install python3 python3-venv), or name it: make PYTHON=python3.12"
elif ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    lacks "'$python' cannot make virtual environments: install its venv module (Debian: apt install python3-venv)"
fi

if ! command -v java >/dev/null 2>&1; then
    lacks "a JDK 17 or newer is needed (Apache Kafka runs on it) and 'java' is not there: install it (Debian: apt install default-jdk-headless)"
else
    # 'openjdk version "17.0.15" 2025-04-15' and, up to Java 8, 'java version "1.8.0_412"'.
    java=$(java -version 2>&1 | sed -n 's/.*version "\([0-9][0-9.]*\).*/\1/p' | head -n 1)
    major=${java%%.*}
    if [ "${major:-0}" -lt 17 ]; then
        lacks "a JDK 17 or newer is needed (Apache Kafka runs on it) and 'java' is ${java:-of unknown version}: install a newer one (Debian: apt install default-jdk-headless)"
    fi
fi

command -v mvn >/dev/null 2>&1 ||
    lacks "Maven is needed (it fetches Apache Kafka) and 'mvn' is not there: install it (Debian: apt install maven)"
command -v make >/dev/null 2>&1 ||
    lacks "make is needed and is not there: install it (Debian: apt install make)"

exit $missing
