# What is wrong with the clock, to whoever logs in.
if [ -s /run/lb/clock.alarm ]; then
    fold -s -w 76 /run/lb/clock.alarm
    echo
fi
