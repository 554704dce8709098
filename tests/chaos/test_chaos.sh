#!/bin/bash
# The black-box trial, short: three nodes, 45 seconds of faults (run.sh tells what is checked).
# time-limit: 240
export NODES=3 DURATION=45 RATE=40
exec "$(dirname "$0")/run.sh"
