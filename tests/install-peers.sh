#!/bin/sh
# Install the programs that the tests talk to, where that is possible: Debian's dcmtk, dicom3tools, Orthanc with its
# DICOMweb and web viewer plug-ins, Chromium without a window, openssl, strace, which records what the listener does to
# its disk, poppler, which reads our PDFs, systemd-analyze, which judges our units (its package starts nothing here),
# iproute2, which cables the hosts that tests boot, and Prometheus, whose promtool reads our alert rules.
# (PostgreSQL for the tests comes from PyPI with the `test` extra.) Without root it only says what is missing, and the
# tests that need it are skipped, or fail where REQUIRE_PEERS=1. Medplum's FHIR server, the files of the OHIF viewer and
# axe-core come from npm, where that is.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
fhir=$here/../.peers/fhir-server
if ! command -v npm >/dev/null 2>&1; then
    echo "not installed: nodejs and npm; tests that need them are skipped" >&2
elif ! cmp -s "$here/fhir-server/package.json" "$fhir/package.json" || [ ! -d "$fhir/node_modules" ]; then
    echo "installing a FHIR server"
    mkdir -p "$fhir"
    cp "$here/fhir-server/package.json" "$fhir/"
    npm install --prefix "$fhir" --ignore-scripts --no-audit --no-fund --no-package-lock --silent
fi

# Of OHIF's package dist/ is the whole application; what we need not have of it is a runtime for neural networks.
version=3.13.2
digest=b189d3963bfc58e9394a9db8c7be75d07beb029ec211dbb126d47b62969dd3f1
ohif=$here/../.peers/ohif
if command -v npm >/dev/null 2>&1 && [ "$(cat "$ohif/version" 2>/dev/null)" != "$version" ]; then
    echo "fetching OHIF $version"
    rm -rf "$ohif"
    mkdir -p "$ohif"
    (
        cd "$ohif"
        npm pack --silent "@ohif/app@$version" >/dev/null
        echo "$digest  ohif-app-$version.tgz" | sha256sum -c --status -
        tar -xzf "ohif-app-$version.tgz" --strip-components=1 --exclude='*.map' --exclude=package/dist/ort
        rm "ohif-app-$version.tgz"
        echo "$version" >version
    )
fi

# What judges the console's pages for people who do not see or point as others do.
version=4.14.1
digest=e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745
axe=$here/../.peers/axe
if command -v npm >/dev/null 2>&1 && [ "$(cat "$axe/version" 2>/dev/null)" != "$version" ]; then
    echo "fetching axe-core $version"
    rm -rf "$axe"
    mkdir -p "$axe"
    (
        cd "$axe"
        npm pack --silent "axe-core@$version" >/dev/null
        echo "$digest  axe-core-$version.tgz" | sha256sum -c --status -
        tar -xzf "axe-core-$version.tgz" --strip-components=1 package/axe.min.js package/LICENSE
        rm "axe-core-$version.tgz"
        echo "$version" >version
    )
fi

missing=
for pair in storescu:dcmtk dciodvfy:dicom3tools Orthanc:orthanc openssl:openssl strace:strace \
    pdftotext:poppler-utils systemd-analyze:systemd ip:iproute2 promtool:prometheus \
    chromium-headless-shell:chromium-headless-shell; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || [ -x "/usr/sbin/${pair%%:*}" ] || missing="$missing ${pair#*:}"
done
for pair in DicomWeb:dicomweb WebViewer:webviewer; do
    [ -e "/usr/share/orthanc/plugins/libOrthanc${pair%%:*}.so" ] || missing="$missing orthanc-${pair#*:}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing$missing"
    apt-get update -qq
    # The packages of Orthanc and Prometheus would start servers of their own on the default ports: forbid that for this
    # installation.
    policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; trap 'rm -f "$policy"' EXIT; }
    # shellcheck disable=SC2086 # a list of package names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "not installed:$missing (as root: apt-get install$missing); tests that need them are skipped" >&2
fi
