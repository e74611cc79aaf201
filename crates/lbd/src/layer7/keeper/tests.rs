//! A HAProxy that refuses every order.

use super::*;
use lb_haproxy::{ProxyError, Statistics, render};
use lb_model::Problem;

#[derive(Default)]
struct Stubborn {
    observed: Observed,
    orders: usize,
}

impl Proxy for Stubborn {
    fn check(&mut self, _: &Rendered) -> Result<Vec<Problem>, ProxyError> {
        Ok(Vec::new())
    }

    fn observe(&mut self) -> Result<Observed, ProxyError> {
        Ok(self.observed.clone())
    }

    fn execute(&mut self, _: &Action) -> Result<(), ProxyError> {
        self.orders += 1;
        Err(ProxyError::Reload("no".into()))
    }

    fn statistics(&mut self) -> Result<Statistics, ProxyError> {
        Ok(Statistics::default())
    }
}

fn wanted() -> Option<Arc<Rendered>> {
    let document = r#"{"version":1,"node":{"hostname":"lb","interfaces":[{"name":"eth0","addresses":["10.0.0.21/24"]}]},
      "layer7":{"virtual_servers":[{"label":"Shop","address":"10.0.0.21","ports":"80"}]}}"#;
    render(&lb_model::migrate(document).expect("a document")).map(Arc::new)
}

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn what_haproxy_does_not_do_is_tried_ever_more_rarely_and_at_once_when_something_has_changed() {
    let mut haproxy = Stubborn::default();
    let mut keeper = Keeper::default();
    keeper.want(1, wanted());
    let tried: Vec<u64> = (0..70)
        .filter(|n| {
            let before = haproxy.orders;
            let view = keeper.work(&mut haproxy, second(*n));
            assert_eq!((view.settled, view.pending.is_empty()), (0, false));
            haproxy.orders > before
        })
        .collect();
    assert_eq!(tried, [0, 1, 3, 7, 15, 31, 61]);
    // Somebody else has written the file.
    haproxy.observed.text = Some("# by hand".into());
    let before = haproxy.orders;
    keeper.work(&mut haproxy, second(70));
    assert_eq!(haproxy.orders, before + 1);
    // Another order is a new beginning.
    keeper.want(2, wanted());
    keeper.work(&mut haproxy, second(70));
    assert_eq!(haproxy.orders, before + 2);
}

#[test]
fn a_haproxy_that_is_away_for_long_is_an_alarm_until_it_runs() {
    let mut haproxy = Stubborn::default();
    let mut keeper = Keeper::default();
    keeper.want(1, wanted());
    assert_eq!(keeper.work(&mut haproxy, second(0)).alarm, None);
    assert_eq!(keeper.work(&mut haproxy, second(4)).alarm, None, "its supervisor takes a second");
    assert!(keeper.work(&mut haproxy, second(5)).alarm.is_some());
    haproxy.observed.shape = Some("another".into());
    assert_eq!(keeper.work(&mut haproxy, second(6)).alarm, None);
}

#[test]
fn nothing_is_looked_after_where_haproxy_shall_not_run() {
    let mut haproxy = Stubborn::default();
    let mut keeper = Keeper::default();
    assert!(keeper.is_idle());
    keeper.want(1, None);
    let view = keeper.work(&mut haproxy, second(0));
    assert_eq!((view.settled, view.pending, haproxy.orders), (1, Vec::new(), 0));
    assert!(keeper.is_idle());
}
