if ! getent passwd sluice-decision >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin \
    --comment "Sluice decision service" sluice-decision
fi
