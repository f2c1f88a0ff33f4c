#!/bin/sh
# Puts the dashboard's libraries here, each at the version named: sh gateway/ui/vendor/update.sh
set -eu

preact=11.2.0 signals=2.11.4 htm=3.1.1 uplot=1.6.32 esbuild=0.28.2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$work"
npm install --silent --no-save "preact@$preact" "@preact/signals@$signals" "htm@$htm" "uplot@$uplot" "esbuild@$esbuild"
cp "$here/entry.js" .
./node_modules/.bin/esbuild entry.js --bundle --minify --format=esm --legal-comments=none --log-level=warning --outfile="$here/preact.js"
./node_modules/.bin/esbuild node_modules/uplot/dist/uPlot.esm.js --minify --format=esm --legal-comments=none --log-level=warning --outfile="$here/uplot.js"
cp node_modules/uplot/dist/uPlot.min.css "$here/uplot.css"
for name in preact @preact/signals htm uplot; do
    echo "---- $name $(node -p "require('./node_modules/$name/package.json').version")"
    cat "node_modules/$name/LICENSE"
    echo
done >"$here/LICENSE"
