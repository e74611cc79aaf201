# engine: our heartbeat. KEEP WARN DEAD LEASE in ms; SUPERVISE=1: started again at once, as runsv does.
engine_name=steelyard
export KEEP=${KEEP:-100} WARN=${WARN:-200} DEAD=${DEAD:-400} LEASE=${LEASE:-2000} SUPERVISE=${SUPERVISE:-0}
sy=/job/extra/heartbeat
engine_ha_start() { local n=$1 peer=$2 d=/tmp/sy/$1 me=one own=10.0.0.11
  [ $n = lb2 ] && { me=two; own=10.0.0.12; }
  mkdir -p $d
  cat > $d/ha.json <<J
{"version":1,"me":"$me","settings":{"keepalive_ms":$KEEP,"warntime_ms":$WARN,"deadtime_ms":$DEAD,"initdead_ms":1000,"lease_ms":$LEASE,
"paths":[{"name":"eth0"}]},"floating":[{"interface":"eth0","net":"$VIP/24"}],
"transports":[{"udp":{"local":"$own:694","peer":"$peer:694"}}]}
J
  echo "seal 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" > $d/keys; chmod 600 $d/keys
  cat > $d/run <<J
while :; do
  $sy --no-lbd --config $d/ha.json --keys $d/keys --state $d/state --socket $d/socket >> $d/log 2>&1 & echo \$! > $d/pid; wait \$!
  [ $SUPERVISE = 1 ] && [ ! -e $d/down ] || exit 0
  $sy --release >> $d/log 2>&1
done
J
  rm -f $d/down; ip netns exec $n bash $d/run & echo $! > $d/root; sleep 0.2; }
engine_ha_pids() { cat /tmp/sy/$1/pid; }
engine_ha_stop() { touch /tmp/sy/$1/down; kill $(engine_ha_pids $1) 2>/dev/null; }
engine_ha_kill9() { [ "$f" = death ] && touch /tmp/sy/$1/down; kill -9 $(engine_ha_pids $1) 2>/dev/null; }
engine_ha_kill9parent() { :; }
engine_ha_kill9child() { :; }
engine_ha_log() { cat /tmp/sy/$1/log; }
engine_ha_settle() { sleep 1.5; }
