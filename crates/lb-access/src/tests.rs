//! Stories of [`Access`], with virtual time.

use std::fs;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;

const T: u64 = 1_800_000_000;
const GOOD: &str = "correct horse battery";

fn home() -> IpAddr {
    "10.0.0.5".parse().unwrap()
}

/// An appliance whose administrator has changed the factory password.
struct Story {
    dir: tempfile::TempDir,
    access: Access,
    cookie: String,
    admin: Who,
}

fn story() -> Story {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open_cheap(dir.path(), T).unwrap();
    let first = access.login("loadbalancer", "loadbalancer", None, home(), T).unwrap();
    let new = access.change_own_password(&first.cookie, "loadbalancer", GOOD, T).unwrap();
    Story { dir, access, cookie: new.cookie, admin: new.session.who }
}

impl Story {
    fn reopen(self) -> Story {
        let access = Access::open_cheap(self.dir.path(), T).unwrap();
        Story { access, ..self }
    }

    /// A user who has logged in and changed the password.
    fn user(&self, name: &str, role: Role) -> NewSession {
        self.access.add_user(name, role, "a first password", &self.admin, T).unwrap();
        let first = self.access.login(name, "a first password", None, home(), T).unwrap();
        self.access.change_own_password(&first.cookie, "a first password", GOOD, T).unwrap()
    }

    fn actions(&self) -> Vec<String> {
        let page = self.access.audit(None, None, 1000);
        page.entries.into_iter().map(|line| line.entry.action).rev().collect()
    }
}

#[test]
fn everything_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Access>();
}

#[test]
fn the_factory_password_logs_in_once_and_must_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open_cheap(dir.path(), T).unwrap();
    let first = access.login(" LoadBalancer ", "loadbalancer", None, home(), T).unwrap();
    assert!(first.session.must_change_password);
    assert_eq!(first.session.who.role, Role::Configuration);
    let change = |old, new| access.change_own_password(&first.cookie, old, new, T);
    assert_eq!(change("loadbalancer", "short"), Err(PasswordRefusal::TooShort));
    assert_eq!(change("loadbalancer", "Loadbalancer"), Err(PasswordRefusal::Factory));
    assert_eq!(change("nonsense", GOOD), Err(PasswordRefusal::OldWrong));
    let new = change("loadbalancer", GOOD).unwrap();
    assert!(!new.session.must_change_password);
    assert_ne!(new.cookie, first.cookie);
    assert!(access.session(&first.cookie, home(), T).is_none(), "the cookie is rotated");
    assert_eq!(access.session(&new.cookie, home(), T).unwrap().who, new.session.who);
    assert_eq!(access.login("loadbalancer", "loadbalancer", None, home(), T), Err(LoginRefusal::Wrong));
    assert!(access.login("loadbalancer", GOOD, None, home(), T).is_ok());
}

#[test]
fn users_outlive_a_restart_and_sessions_do_not() {
    let story = story().reopen();
    assert!(story.access.session(&story.cookie, home(), T).is_none());
    assert!(story.access.login("loadbalancer", GOOD, None, home(), T).is_ok());
    assert_eq!(story.access.login("loadbalancer", "loadbalancer", None, home(), T), Err(LoginRefusal::Wrong));
}

#[test]
fn sessions_see_the_role_of_this_moment() {
    let story = story();
    let ops = story.user("ops", Role::Report);
    let role = || story.access.session(&ops.cookie, home(), T).map(|session| session.who.role);
    assert_eq!(role(), Some(Role::Report));
    story.access.set_role("ops", Role::Maintenance, &story.admin, T).unwrap();
    assert_eq!(role(), Some(Role::Maintenance));
    story.access.remove_user("ops", &story.admin, T).unwrap();
    assert_eq!(role(), None);
    story.access.add_user("ops", Role::Configuration, "a first password", &story.admin, T).unwrap();
    assert_eq!(role(), None, "not for a namesake either");
}

#[test]
fn looking_by_itself_does_not_keep_a_session_alive() {
    let story = story();
    for now in (T..T + 900).step_by(100) {
        assert!(story.access.peek(&story.cookie, now).is_some());
    }
    assert!(story.access.session(&story.cookie, home(), T + 900).is_none());
    let settings = WebSettings { session_idle: 60, ..WebSettings::default() };
    story.access.set_settings(settings, &story.admin, T).unwrap();
    let new = story.access.login("loadbalancer", GOOD, None, home(), T).unwrap();
    assert_eq!(new.session.expires, T + 60);
}

#[test]
fn sessions_are_listed_and_ended_by_those_who_may() {
    let story = story();
    let ops = story.user("ops", Role::Report).session;
    let other = story.user("other", Role::Maintenance).session;
    let list = story.access.sessions(T);
    assert_eq!(list.len(), 3);
    assert!(!story.access.end_session(&other.id, &ops.who, T), "not somebody else's");
    assert!(story.access.end_session(&ops.id, &ops.who, T), "one's own");
    assert!(story.access.end_session(&other.id, &story.admin, T));
    assert!(!story.access.end_session(&other.id, &story.admin, T));
    assert_eq!(story.access.sessions(T).len(), 1);
    story.access.logout(&story.cookie, T);
    assert!(story.access.session(&story.cookie, home(), T).is_none());
    assert!(story.access.sessions(T).is_empty());
}

#[test]
fn a_new_password_ends_every_session_of_its_user() {
    let story = story();
    let phone = story.access.login("loadbalancer", GOOD, None, home(), T).unwrap();
    let ops = story.user("ops", Role::Report);
    assert_eq!(story.access.change_own_password(&phone.cookie, GOOD, GOOD, T), Err(PasswordRefusal::Same));
    let new = story.access.change_own_password(&phone.cookie, GOOD, "another good one", T).unwrap();
    assert!(story.access.session(&story.cookie, home(), T).is_none());
    assert!(story.access.session(&phone.cookie, home(), T).is_none());
    assert!(story.access.session(&new.cookie, home(), T).is_some());
    assert!(story.access.session(&ops.cookie, home(), T).is_some());
    story.access.set_password("ops", "from the admin", &story.admin, T).unwrap();
    assert!(story.access.session(&ops.cookie, home(), T).is_none());
    let again = story.access.login("ops", "from the admin", None, home(), T).unwrap();
    assert!(again.session.must_change_password);
}

#[test]
fn the_last_administrator_stays() {
    let story = story();
    story.user("ops", Role::Report);
    let last = Err(Refusal::LastAdministrator("loadbalancer".into()));
    assert_eq!(story.access.set_role("loadbalancer", Role::Report, &story.admin, T), last);
    assert_eq!(story.access.remove_user("loadbalancer", &story.admin, T), last);
    story.access.set_role("ops", Role::Configuration, &story.admin, T).unwrap();
    assert_eq!(story.access.remove_user("loadbalancer", &story.admin, T), Err(Refusal::Yourself));
    story.access.set_role("loadbalancer", Role::Report, &story.admin, T).unwrap();
    assert_eq!(
        story.access.reopen_roles(story.dir.path()),
        [("loadbalancer", Role::Report), ("ops", Role::Configuration)]
    );
}

impl Access {
    /// What a restart would find.
    fn reopen_roles(&self, dir: &std::path::Path) -> Vec<(&'static str, Role)> {
        let users = Access::open_cheap(dir, T).unwrap().users();
        users.into_iter().map(|user| (&*user.name.leak(), user.role)).collect()
    }
}

#[test]
fn who_may_not_administer_is_refused_everything_and_it_is_written_down() {
    let story = story();
    for role in [Role::Report, Role::Maintenance] {
        let by = story.user(role.name(), role).session.who;
        let access = &story.access;
        let refusals = [
            access.add_user("new", role, GOOD, &by, T).err(),
            access.set_role(&by.user, Role::Configuration, &by, T).err(),
            access.set_password("loadbalancer", "a password of mine", &by, T).err(),
            access.remove_user("loadbalancer", &by, T).err(),
            access.unlock("loadbalancer", &by, T).err(),
            access.remove_totp("loadbalancer", &by, T).err(),
            access.create_token("mine", role, None, &by, T).err(),
            access.revoke_token("x", &by, T).err(),
            access.set_settings(WebSettings::default(), &by, T).err(),
            access.import(access.export().unwrap(), &by, T).err(),
        ];
        let count = refusals.len();
        assert!(refusals.into_iter().all(|refusal| refusal == Some(Refusal::Forbidden)));
        let page = access.audit(Some(&format!("{role} refused")), None, 1000);
        assert_eq!(page.entries.iter().filter(|line| line.entry.user == role.name()).count(), count);
    }
}

#[test]
fn add_user_refuses_nonsense() {
    let story = story();
    let add = |name: &str, password: &str| story.access.add_user(name, Role::Report, password, &story.admin, T);
    assert_eq!(add("No Name", GOOD), Err(Refusal::UserName));
    assert_eq!(add("ops", "short"), Err(Refusal::Password(PasswordRefusal::TooShort)));
    assert_eq!(add("administrator", "administrator"), Err(Refusal::Password(PasswordRefusal::UserName)));
    assert_eq!(add("loadbalancer", GOOD), Err(Refusal::UserExists("loadbalancer".into())));
    for i in 1..64 {
        add(&format!("user{i}"), GOOD).unwrap();
    }
    assert_eq!(add("one-more", GOOD), Err(Refusal::TooMany { what: "users", limit: 64 }));
}

#[test]
fn tokens_do_what_their_owner_may_and_end_with_them() {
    let story = story();
    let (access, admin) = (&story.access, &story.admin);
    let boss = story.user("boss", Role::Configuration).session.who;
    let token = access.create_token("ci", Role::Maintenance, Some(T + 100), &boss, T).unwrap();
    assert!(token.starts_with("lbt_") && token.len() == 4 + 43, "{token}");
    let who = access.bearer(&token, home(), T + 7).unwrap();
    assert_eq!((who.role, who.author()), (Role::Maintenance, "boss/token ci (10.0.0.5)".into()));
    assert_eq!(access.tokens()[0].last_used, Some(T + 7));
    assert!(access.bearer("lbt_nonsense", home(), T).is_none());
    assert!(access.bearer(&token, home(), T + 100).is_none(), "expired");
    // A token of a token ends with it.
    let strong = access.create_token("strong", Role::Configuration, Some(T + 50), &boss, T).unwrap();
    let by = access.bearer(&strong, home(), T).unwrap();
    let child = access.create_token("child", Role::Configuration, None, &by, T).unwrap();
    assert!(access.bearer(&child, home(), T + 49).is_some());
    assert!(access.bearer(&child, home(), T + 50).is_none());
    // The owner's role counts at once.
    access.set_role("boss", Role::Report, admin, T).unwrap();
    assert_eq!(access.bearer(&token, home(), T).unwrap().role, Role::Report);
    // A password set by somebody else stops tokens until it was changed.
    access.set_password("boss", "from the admin", admin, T).unwrap();
    assert!(access.bearer(&token, home(), T).is_none());
    let first = access.login("boss", "from the admin", None, home(), T).unwrap();
    access.change_own_password(&first.cookie, "from the admin", GOOD, T).unwrap();
    assert!(access.bearer(&token, home(), T).is_some());
    access.remove_user("boss", admin, T).unwrap();
    assert!(access.bearer(&token, home(), T).is_none());
    assert!(access.tokens().is_empty());
}

#[test]
fn tokens_are_made_with_care_and_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open_cheap(dir.path(), T).unwrap();
    let first = access.login("loadbalancer", "loadbalancer", None, home(), T).unwrap().session.who;
    assert_eq!(access.create_token("ci", Role::Report, None, &first, T), Err(Refusal::MustChange));
    let story = story();
    let create =
        |name: &str, expires: Option<u64>| story.access.create_token(name, Role::Report, expires, &story.admin, T);
    assert_eq!(create("a/b", None), Err(Refusal::TokenName));
    assert_eq!(create("ci", Some(T)), Err(Refusal::TokenExpired));
    let token = create("ci", None).unwrap();
    assert_eq!(create("ci", None), Err(Refusal::TokenExists("ci".into())));
    let text = fs::read_to_string(story.dir.path().join("access.json")).unwrap();
    assert!(!text.contains(&token[4..]), "only its SHA-256 is kept");
    let id = &story.access.tokens()[0].id;
    story.access.revoke_token(id, &story.admin, T).unwrap();
    assert_eq!(story.access.revoke_token(id, &story.admin, T), Err(Refusal::NoToken));
    assert!(story.access.bearer(&token, home(), T).is_none());
    for i in 0..64 {
        create(&format!("t{i}"), Some(T + 1)).unwrap();
    }
    assert_eq!(create("more", None), Err(Refusal::TooMany { what: "tokens", limit: 64 }));
    assert!(
        story.access.create_token("more", Role::Report, None, &story.admin, T + 1).is_ok(),
        "expired ones make room"
    );
}

#[test]
fn totp_is_asked_for_once_confirmed_and_each_code_counts_once() {
    let story = story();
    let (access, admin) = (&story.access, &story.admin);
    let secret = access.begin_totp("lbmaster", admin, T).unwrap();
    assert_eq!(access.pending_totp("lbmaster", admin, T), Some(secret.clone()));
    let code = |now| code_at(&secret.secret, now).unwrap();
    assert!(access.login("loadbalancer", GOOD, None, home(), T).is_ok(), "not before it is confirmed");
    let wrong = format!("{:06}", (code(T).parse::<u32>().unwrap() + 1) % 1_000_000);
    assert_eq!(access.confirm_totp(&wrong, admin, T), Err(Refusal::Code));
    access.confirm_totp(&code(T), admin, T).unwrap();
    assert_eq!(access.confirm_totp(&code(T), admin, T), Err(Refusal::NoTotp));
    let login = |code: Option<&str>, now| access.login("loadbalancer", GOOD, code, home(), now).map(|_| ());
    assert_eq!(login(None, T + 30), Err(LoginRefusal::CodeNeeded));
    assert_eq!(login(Some(""), T + 30), Err(LoginRefusal::CodeNeeded));
    assert_eq!(login(Some(&code(T)), T + 30), Err(LoginRefusal::CodeWrong), "used to confirm");
    assert_eq!(login(Some(&code(T + 30)), T + 30), Ok(()));
    assert_eq!(login(Some(&code(T + 30)), T + 31), Err(LoginRefusal::CodeWrong), "used");
    assert_eq!(
        access.login("loadbalancer", "nonsense", Some(&code(T + 60)), home(), T + 60).unwrap_err(),
        LoginRefusal::Wrong,
        "a code does not tell whether the password was right"
    );
    assert_eq!(access.remove_own_totp(&code(T + 30), admin, T + 60), Err(Refusal::Code));
    access.remove_own_totp(&code(T + 60), admin, T + 60).unwrap();
    assert_eq!(login(None, T + 60), Ok(()));
}

#[test]
fn a_used_code_stays_used_after_a_restart() {
    let story = story();
    let secret = story.access.begin_totp("lbmaster", &story.admin, T).unwrap().secret;
    story.access.confirm_totp(&code_at(&secret, T).unwrap(), &story.admin, T).unwrap();
    let story = story.reopen();
    let login = |code: String| story.access.login("loadbalancer", GOOD, Some(&code), home(), T + 30).map(|_| ());
    assert_eq!(login(code_at(&secret, T).unwrap()), Err(LoginRefusal::CodeWrong));
    assert_eq!(login(code_at(&secret, T + 30).unwrap()), Ok(()));
}

#[test]
fn wrong_codes_are_counted_like_wrong_passwords() {
    let story = story();
    let secret = story.access.begin_totp("lbmaster", &story.admin, T).unwrap().secret;
    story.access.confirm_totp(&code_at(&secret, T).unwrap(), &story.admin, T).unwrap();
    let later = T + 10_000;
    let wrong = format!("{:06}", (code_at(&secret, later).unwrap().parse::<u32>().unwrap() + 5) % 1_000_000);
    let outcomes: Vec<_> =
        (0..6).map(|_| story.access.login("loadbalancer", GOOD, Some(&wrong), home(), later).unwrap_err()).collect();
    assert_eq!(outcomes[..5], vec![LoginRefusal::CodeWrong; 5]);
    assert_eq!(outcomes[5], LoginRefusal::Locked { retry_after: 5 });
}

#[test]
fn an_administrator_takes_totp_off_for_somebody() {
    let story = story();
    let ops = story.user("ops", Role::Report).session.who;
    let secret = story.access.begin_totp("lbmaster", &ops, T).unwrap().secret;
    story.access.confirm_totp(&code_at(&secret, T).unwrap(), &ops, T).unwrap();
    assert!(story.access.users().iter().any(|user| user.name == "ops" && user.totp));
    story.access.remove_totp("ops", &story.admin, T).unwrap();
    assert!(story.access.login("ops", GOOD, None, home(), T).is_ok());
    let token = Who { via: Via::Token("ci".into()), ..ops };
    assert_eq!(story.access.begin_totp("lbmaster", &token, T), Err(Refusal::Forbidden));
}

#[test]
fn strangers_are_held_back_and_the_administrator_is_not() {
    let story = story();
    let stranger: IpAddr = "198.51.100.7".parse().unwrap();
    let attempt = |address, password, now| story.access.login("loadbalancer", password, None, address, now).map(|_| ());
    for _ in 0..5 {
        assert_eq!(attempt(stranger, "a guess", T), Err(LoginRefusal::Wrong));
    }
    assert_eq!(attempt(stranger, "a guess", T), Err(LoginRefusal::Locked { retry_after: 5 }));
    assert_eq!(attempt(stranger, GOOD, T + 4), Err(LoginRefusal::Locked { retry_after: 1 }), "the right one too");
    assert_eq!(attempt(stranger, "a guess", T + 5), Err(LoginRefusal::Wrong));
    assert_eq!(attempt(stranger, "a guess", T + 5), Err(LoginRefusal::Locked { retry_after: 10 }));
    // A thousand strangers.
    for i in 0..1000u32 {
        let _ = attempt(std::net::Ipv4Addr::from(0xc0a8_0000 + i).into(), "a guess", T);
    }
    assert_eq!(attempt(home(), GOOD, T), Ok(()));
    assert!(story.access.users()[0].locked_until.is_some());
    story.access.unlock("loadbalancer", &story.admin, T).unwrap();
    assert_eq!(attempt(stranger, GOOD, T + 5), Ok(()));
}

/// A user who does not exist, and one who does, differ in nothing that can be seen.
#[test]
fn names_of_users_cannot_be_found_out() {
    let story = story();
    let outcomes = |user: &str, third: u8| -> Vec<_> {
        let address: IpAddr = format!("198.51.{third}.7").parse().unwrap();
        (0..9).map(|i| story.access.login(user, "a guess", None, address, T + i).map(|_| ())).collect()
    };
    assert_eq!(outcomes("loadbalancer", 1), outcomes("nobody", 2));
}

#[test]
fn what_an_unknown_user_typed_is_not_written_down() {
    let story = story();
    let _ = story.access.login("my secret passphrase", "x", None, home(), T);
    let page = story.access.audit(None, None, 1000);
    assert_eq!(page.entries[0].entry.detail, "As an unknown user: User or password is wrong.");
    for file in ["audit.log", "refused.log", "access.json"] {
        let text = fs::read_to_string(story.dir.path().join(file)).unwrap();
        assert!(!text.contains("secret passphrase") && !text.contains(GOOD), "{file}");
    }
}

#[test]
fn a_thousand_parallel_wrong_log_ins_are_refused_quickly() {
    let dir = tempfile::tempdir().unwrap();
    // At the appliance's cost: hashing each would take minutes.
    let access = Access::open(dir.path(), T).unwrap();
    let hashed = AtomicUsize::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for worker in 0..50u32 {
            let (access, hashed) = (&access, &hashed);
            scope.spawn(move || {
                for i in 0..20u32 {
                    // Ten sources.
                    let address = std::net::Ipv4Addr::from(0xcb00_7100 + (worker * 20 + i) % 10);
                    match access.login("loadbalancer", "a guess", None, address.into(), T) {
                        Err(LoginRefusal::Wrong) => {
                            hashed.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(LoginRefusal::Busy { .. } | LoginRefusal::Locked { .. }) => {}
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    let hashed = hashed.into_inner();
    assert!((1..=50).contains(&hashed), "{hashed}");
    // 50 hashes at a second each, on a busy machine without optimization.
    assert!(began.elapsed() < Duration::from_secs(100), "{:?}", began.elapsed());
    assert_eq!(access.audit(Some("log-in refused"), None, 1000).entries.len(), 200, "the rest is counted");
}

#[test]
fn a_damaged_file_locks_nobody_out_and_is_told() {
    let story = story();
    fs::write(story.dir.path().join("access.json"), "damaged").unwrap();
    let story = story.reopen();
    assert!(story.access.login("loadbalancer", GOOD, None, home(), T).is_ok());
    assert!(story.access.alarms()[0].contains("its copy was used"), "{:?}", story.access.alarms());
    assert!(story.actions().contains(&"recovery".to_owned()));
}

#[test]
fn without_a_usable_file_nobody_gets_in_until_the_console_says_so() {
    let story = story();
    for file in ["access.json", "access.json.1"] {
        fs::write(story.dir.path().join(file), "damaged").unwrap();
    }
    let story = story.reopen();
    for password in [GOOD, "loadbalancer"] {
        let refusal = story.access.login("loadbalancer", password, None, home(), T).unwrap_err();
        assert!(matches!(&refusal, LoginRefusal::Closed { alarm } if alarm.contains("access.reset")), "{refusal:?}");
    }
    let closed = Err(Refusal::Failed(Failure::Closed));
    assert_eq!(story.access.set_role("loadbalancer", Role::Report, &story.admin, T), closed);
    assert!(!story.dir.path().join("access.json").exists(), "nothing is made up");
    fs::write(story.dir.path().join("access.reset"), "").unwrap();
    let story = story.reopen();
    let first = story.access.login("loadbalancer", "loadbalancer", None, home(), T).unwrap();
    assert!(first.session.must_change_password);
    assert!(!story.dir.path().join("access.reset").exists());
}

#[test]
fn a_folder_emptied_of_its_users_is_not_a_first_start() {
    let story = story();
    for file in ["access.json", "access.json.1"] {
        fs::remove_file(story.dir.path().join(file)).unwrap();
    }
    let story = story.reopen();
    let refusal = story.access.login("loadbalancer", "loadbalancer", None, home(), T).unwrap_err();
    assert!(matches!(refusal, LoginRefusal::Closed { .. }), "{refusal:?}");
}

#[test]
fn a_disk_that_refuses_leaves_everything_as_it_was_and_lets_people_in() {
    let story = story();
    fs::create_dir(story.dir.path().join("access.json.tmp")).unwrap();
    let disk = Err(Refusal::Failed(Failure::Disk));
    assert_eq!(story.access.add_user("ops", Role::Report, GOOD, &story.admin, T), disk);
    assert_eq!(story.access.users().len(), 1);
    let refusal = story.access.change_own_password(&story.cookie, GOOD, "another good one", T).unwrap_err();
    assert_eq!(refusal, PasswordRefusal::Failed(Failure::Disk));
    assert!(story.access.login("loadbalancer", GOOD, None, home(), T).is_ok());
}

#[test]
fn a_backup_brings_users_tokens_and_settings_back() {
    let source = story();
    source.user("ops", Role::Maintenance);
    let token = source.access.create_token("ci", Role::Report, None, &source.admin, T).unwrap();
    let settings = WebSettings { http: HttpMode::Off, ..WebSettings::default() };
    source.access.set_settings(settings.clone(), &source.admin, T).unwrap();
    let text = serde_json::to_string(&source.access.export().unwrap()).unwrap();

    let target = story();
    let gone = target.user("gone", Role::Report);
    target.access.import(serde_json::from_str(&text).unwrap(), &target.admin, T).unwrap();
    assert!(target.access.session(&gone.cookie, home(), T).is_none());
    assert!(target.access.session(&target.cookie, home(), T).is_none(), "not the same password hash");
    let target = target.reopen();
    assert!(target.access.login("ops", GOOD, None, home(), T).is_ok());
    assert!(target.access.bearer(&token, home(), T).is_some());
    assert_eq!(target.access.settings(), settings);

    let back = source.access.export().unwrap();
    source.access.import(back, &source.admin, T).unwrap();
    assert!(source.access.session(&source.cookie, home(), T).is_some(), "the same users: sessions go on");
}

#[test]
fn a_backup_that_makes_no_sense_changes_nothing() {
    let story = story();
    let good = serde_json::to_value(story.access.export().unwrap()).unwrap();
    let broken: [fn(&mut serde_json::Value); 4] = [
        |value| value["users"]["loadbalancer"]["role"] = "report".into(),
        |value| value["users"]["loadbalancer"]["hash"] = "plain".into(),
        |value| value["settings"]["session_idle"] = 1.into(),
        |value| value["users"]["../x"] = value["users"]["loadbalancer"].clone(),
    ];
    for damage in broken {
        let mut value = good.clone();
        damage(&mut value);
        let export: Export = serde_json::from_value(value).unwrap();
        let refusal = story.access.import(export, &story.admin, T).unwrap_err();
        assert!(matches!(refusal, Refusal::Import(_)), "{refusal:?}");
    }
    let mut unknown = good;
    unknown["more"] = 1.into();
    assert!(serde_json::from_value::<Export>(unknown).is_err());
    assert!(story.access.login("loadbalancer", GOOD, None, home(), T).is_ok());
}

#[test]
fn every_change_is_in_the_audit_log() {
    let story = story();
    let (access, admin) = (&story.access, &story.admin);
    access.add_user("ops", Role::Report, GOOD, admin, T).unwrap();
    access.set_role("ops", Role::Maintenance, admin, T).unwrap();
    access.remove_user("ops", admin, T).unwrap();
    access.logout(&story.cookie, T);
    let expected = ["first-start", "log-in", "password-change", "user-add", "user-role", "user-remove", "log-out"];
    assert_eq!(story.actions(), expected);
    let page = access.audit(Some("user-role"), None, 1);
    let entry = &page.entries[0].entry;
    assert_eq!((entry.user.as_str(), entry.address, entry.time), ("loadbalancer", home(), T));
    assert_eq!(entry.detail, "User ops gets the role maintenance.");
}

#[test]
fn a_password_is_proved_again_before_what_cannot_be_undone() {
    let story = story();
    let prove = |password, now| story.access.confirm_password(&story.admin, password, "factory-settings", now);
    assert_eq!(prove(GOOD, T), Ok(()));
    assert_eq!(prove("nonsense", T), Err(PasswordRefusal::Wrong));
    let log = story.access.audit(Some("factory-settings"), None, 10).entries;
    assert_eq!(log.len(), 1, "what is right is written down by whoever does it");
    assert!(log[0].entry.refused && log[0].entry.detail == "The password is wrong.", "{:?}", log[0].entry);
    // Guessing is locked out as at the log-in.
    let locked = (0..100).any(|_| matches!(prove("nonsense", T), Err(PasswordRefusal::Locked { .. })));
    assert!(locked);
}

/// Every word that a person may see says what to do, and no secret shows in what programs print.
#[test]
fn refusals_have_hints_and_nothing_prints_a_secret() {
    let story = story();
    for refusal in [
        Refusal::Forbidden,
        Refusal::UserName,
        Refusal::TokenName,
        Refusal::Yourself,
        Refusal::Code,
        Refusal::NoTotp,
        Refusal::Failed(Failure::Disk),
    ] {
        assert!(refusal.hint().ends_with('.') && !refusal.to_string().ends_with('.'), "{refusal:?}");
    }
    let new = story.access.login("loadbalancer", GOOD, None, home(), T).unwrap();
    let secret = story.access.begin_totp("lbmaster", &story.admin, T).unwrap();
    let printed = format!("{:?}{:?}{:?}{:?}", story.access, new, secret, story.access.export());
    for text in [&new.cookie, &new.session.csrf, &secret.secret, "$argon2id"] {
        assert!(!printed.contains(text), "{printed}");
    }
}
