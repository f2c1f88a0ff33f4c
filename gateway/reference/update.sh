#!/bin/sh
# Puts a version of Swagger UI here: sh gateway/reference/update.sh 5.35.0
set -eu

version=${1:?which version of swagger-ui-dist?}
here=$(cd "$(dirname "$0")" && pwd)
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT

cd "$unpacked"
npm pack --silent "swagger-ui-dist@$version" >/dev/null
tar -xzf swagger-ui-dist-*.tgz
for name in swagger-ui-bundle.js swagger-ui.css; do
    # What a link to a source map leads to is not here.
    sed -e '/^\/\/# sourceMappingURL=/d' -e 's,/\*# sourceMappingURL=.*\*/$,,' "package/$name" >"$here/$name"
done
cp package/LICENSE package/NOTICE package/swagger-ui-bundle.js.LICENSE.txt "$here/"
sed -i.before "s/(https:\/\/github.com\/swagger-api\/swagger-ui) [0-9.]*[0-9]/(https:\/\/github.com\/swagger-api\/swagger-ui) $version/" "$here/README.md"
rm "$here/README.md.before"
