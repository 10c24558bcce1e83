#!/bin/sh
# A stand-in for get.k3s.io in the lab: it puts the real kube-apiserver and etcd where K3s would put itself, as a
# service k3s.service with the files, the kubeconfig and the commands that K3s has. There is no kubelet, so no pods.
#
# Like the real one it reads INSTALL_K3S_VERSION, INSTALL_K3S_EXEC (or arguments), INSTALL_K3S_SKIP_DOWNLOAD,
# INSTALL_K3S_SKIP_ENABLE, INSTALL_K3S_SKIP_START, and keeps K3S_* variables for the service. What it does not know it
# refuses, so that a misspelt setting shows up here and not in production.
set -eu

BASE_URL='@BASE_URL@'
APISERVER_VERSION='@APISERVER_VERSION@'
BIN=/usr/local/bin
LIB=/usr/local/lib/k3s-stand-in
UNIT=/etc/systemd/system/k3s.service

info() { echo "[INFO]  $*"; }
fatal() {
  echo "[ERROR] $*" >&2
  exit 1
}

check_settings() {
  [ "$(id -u)" -eq 0 ] || fatal "must be run as root"
  for name in $(env | sed -n 's/^\(INSTALL_K3S_[A-Z0-9_]*\)=.*/\1/p'); do
    case $name in
      INSTALL_K3S_VERSION | INSTALL_K3S_EXEC | INSTALL_K3S_SKIP_DOWNLOAD | INSTALL_K3S_SKIP_ENABLE | INSTALL_K3S_SKIP_START) ;;
      *) fatal "the stand-in does not know $name" ;;
    esac
  done
  VERSION=${INSTALL_K3S_VERSION:-v$APISERVER_VERSION+k3s1}
  echo "$VERSION" | grep -Eqx 'v[0-9]+\.[0-9]+\.[0-9]+(-rc[0-9]+)?\+k3s[0-9]+' ||
    fatal "no K3s release is called $VERSION; did you mean v$APISERVER_VERSION+k3s1?"
  [ -z "${K3S_URL:-}" ] || fatal "K3S_URL asks for an agent, the stand-in only has servers"
}

download() {
  if [ "${INSTALL_K3S_SKIP_DOWNLOAD:-false}" = true ]; then
    [ -x "$LIB/kube-apiserver" ] || fatal "INSTALL_K3S_SKIP_DOWNLOAD is set, but nothing is there yet"
    return
  fi
  mkdir -p "$LIB"
  for file in etcd kube-apiserver; do
    wanted=$(curl -sfS "$BASE_URL/$file.sha256") || fatal "Download failed"
    if [ "$wanted" = "$(sha256sum "$LIB/$file" 2>/dev/null | cut -d' ' -f1)" ]; then
      info "$file is there already"
      continue
    fi
    info "Downloading $BASE_URL/$file"
    curl -sfS -o "$LIB/$file.new" "$BASE_URL/$file" || fatal "Download failed"
    chmod 755 "$LIB/$file.new"
    mv "$LIB/$file.new" "$LIB/$file"
  done
  curl -sfS -o "$BIN/k3s.new" "$BASE_URL/k3s" || fatal "Download failed"
  sed -i "s/^VERSION=.*/VERSION='$VERSION'/" "$BIN/k3s.new"
  chmod 755 "$BIN/k3s.new"
  mv "$BIN/k3s.new" "$BIN/k3s"
}

write_unit() {
  mkdir -p "$(dirname "$UNIT")"
  env | grep '^K3S_' >"$UNIT.env" || true
  chmod 600 "$UNIT.env"
  {
    cat <<'UNIT'
[Unit]
Description=Lightweight Kubernetes (stand-in: kube-apiserver and etcd only)
Wants=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=notify
NotifyAccess=all
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-/etc/systemd/system/k3s.service.env
LimitNOFILE=1048576
KillMode=mixed
TimeoutStartSec=0
TimeoutStopSec=20s
Restart=always
RestartSec=5s
UNIT
    printf 'ExecStart=%s/k3s' "$BIN"
    for argument; do
      printf " \\\\\n    '%s'" "$argument"
    done
    echo
  } >"$UNIT.new"
  mv "$UNIT.new" "$UNIT"
}

write_uninstall() {
  cat >"$BIN/k3s-uninstall.sh" <<'UNINSTALL'
#!/bin/sh
set -x
systemctl disable --now k3s.service
rm -rf /etc/systemd/system/k3s.service /etc/systemd/system/k3s.service.env /etc/rancher/k3s /var/lib/rancher/k3s
rm -rf /usr/local/lib/k3s-stand-in /usr/local/bin/k3s /usr/local/bin/k3s-uninstall.sh
systemctl daemon-reload
UNINSTALL
  chmod 755 "$BIN/k3s-uninstall.sh"
}

checksum() { sha256sum "$BIN/k3s" "$LIB"/* "$UNIT" "$UNIT.env" 2>/dev/null | sha256sum; }

check_settings
# As the real one: the words of INSTALL_K3S_EXEC, whose punctuation it escapes even between quotes, then the arguments;
# `server` when no command is among them.
words=$(printf %s "${INSTALL_K3S_EXEC:-}" | sed 's/[][!#$%&()*;<=>?\\_`{|}]/\\&/g')
eval "set -- $words $(for argument; do printf "'%s' " "$(echo "$argument" | sed "s/'/'\\\\''/g")"; done)"
case ${1:-} in
  '' | -*) set -- server "$@" ;;
  server) ;;
  *) fatal "the stand-in has no command $1, only server" ;;
esac

info "Using $VERSION as release: a stand-in, in truth kube-apiserver $APISERVER_VERSION and etcd without a kubelet"
before=$(checksum)
download
"$BIN/k3s" check-arguments "$@" || exit 1
write_unit "$@"
write_uninstall
systemctl daemon-reload
[ "${INSTALL_K3S_SKIP_ENABLE:-false}" = true ] || systemctl -q enable k3s.service
if [ "${INSTALL_K3S_SKIP_ENABLE:-false}" = true ] || [ "${INSTALL_K3S_SKIP_START:-false}" = true ]; then
  exit 0
fi
if [ "$before" = "$(checksum)" ] && systemctl -q is-active k3s.service; then
  info "No change detected so skipping service start"
  exit 0
fi
info "systemd: Starting k3s"
systemctl restart k3s.service
