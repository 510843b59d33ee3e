#!/bin/sh
# Starts the program of jsii's runtime that runs CDK. The argument is the other
# program of the runtime, which would start this one: see process.go.
program="${1%/bin/jsii-runtime.js}/lib/program.js"
if [ "$#" -ne 1 ] || [ ! -f "$program" ]; then # another jsii than this is made for
  exec "$CUTOVER_NODE" "$@"
fi
# It takes requests from descriptor 3 and answers there. What is printed goes to
# standard error, so that it cannot be taken for an answer.
exec 3<&0 4>&1 1>&2 </dev/null
exec "$CUTOVER_NODE" --preserve-symlinks --require "${0%/*}/process.cjs" "$program"
