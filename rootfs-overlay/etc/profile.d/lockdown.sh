# Whoever comes to the console because the network does not let them in is told the way back.
if grep -qs 'chain management' /run/lb/nft; then
    echo "The firewall lock-down is on: lbctl lockdown show."
    echo "To open this unit again: lbctl lockdown off --apply"
    echo
fi
