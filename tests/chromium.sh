#!/usr/bin/env bash
# Debian's Chromium for the tests of pages, and what libraries this machine lacks for it: unpacked into a folder, without root and
# without a change to the system. usage: tests/chromium.sh FOLDER; FOLDER/chromium runs it
set -euo pipefail
folder="$(realpath -m "$1")"
new="$folder.new"
trap 'rm -rf "$new"' EXIT
rm -rf "$new"
mkdir -p "$new/state/lists/partial" "$new/cache/archives/partial" "$new/root"

# apt with lists and archives of its own; what is installed it reads from the system, so that it fetches only the rest.
apt=(apt-get -qq -o "Dir::State=$new/state" -o "Dir::State::status=/var/lib/dpkg/status" -o "Dir::Cache=$new/cache")
apt+=(-o Debug::NoLocking=true -o APT::Sandbox::User= -o Acquire::Retries=2 -o Acquire::http::Timeout=20)
"${apt[@]}" update
"${apt[@]}" install --download-only --yes --no-install-recommends chromium > /dev/null
for package in "$new"/cache/archives/*.deb; do
  dpkg-deb --extract "$package" "$new/root"
done
rm -rf "$new/state" "$new/cache"

libraries=""
for place in "$new"/root/usr/lib/*-linux-gnu{,/pulseaudio} "$new"/root/lib/*-linux-gnu; do
  if [[ -d "$place" ]]; then libraries+="${libraries:+:}${place/#$new/$folder}"; fi
done
cat > "$new/chromium" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH="$libraries" exec "$folder/root/usr/lib/chromium/chromium" "\$@"
WRAPPER
chmod +x "$new/chromium"
rm -rf "$folder"
mv "$new" "$folder"
"$folder/chromium" --no-sandbox --version
