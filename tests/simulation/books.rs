//! What really happened in a run, kept apart from the gateway's own books, and the promises that it
//! is held to. The first one that is broken is kept, with the trace of its call.

use std::sync::{Arc, Mutex, MutexGuard};

use pointsman::call::Call;
use pointsman::live::Live;
use pointsman::reliable::class::{Again, again};
use pointsman::routing::board::Board;
use pointsman::routing::class::Class;
use pointsman::routing::state::Health;
use pointsman::routing::{Ask, Router};
use pointsman_routes::table::{DeploymentId, Target};
use pointsman_routes::usd::Usd;
use tokio::time::Instant;

use super::caller::Wish;
use super::plan::{Deployment, Plan, Policy, SMALL_WINDOW, dollars, millis};

/// Retries that the gateway's retry budget surely pays for. Who gives up after that many is excused.
const BUDGET: u32 = 95;
/// No pause before a retry is longer.
const LONGEST_PAUSE: u64 = 61_000;
/// `request_timeout` unless the file says otherwise.
const WHOLE: u64 = 6_000_000;
/// `stream_idle_timeout` unless the file says otherwise.
const IDLE: u64 = 300_000;
/// `queue` unless the file says otherwise: how many wait, and for how many seconds.
const QUEUE: (usize, u64) = (1_000, 30);
/// Millionths of a dollar that a token costs.
const PRICE: u64 = 10;
/// A minute, in which rpm and tpm are counted.
const MINUTE: u64 = 60_000;

/// The books of a run, shared by all who write into them.
#[derive(Clone, Debug)]
pub(crate) struct Books(Arc<Mutex<Kept>>);

/// See [`Books`].
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) plan: Arc<Plan>,
    router: Router,
    live: Arc<Live>,
    began: Instant,
    /// The table's id of each deployment of the plan.
    ids: Vec<DeploymentId>,
    shadows: Vec<Shadow>,
    calls: Vec<Course>,
    /// Retries of those who were asked already.
    paid: u32,
    /// Calls that have asked for a deployment and wait for it.
    waiting: Vec<usize>,
    pub(crate) attempts: u32,
    pub(crate) answered: u32,
    pub(crate) lost: u32,
    pub(crate) broken_streams: u32,
    pub(crate) continued: u32,
    pub(crate) probes: u32,
    pub(crate) refused_in_vain: u32,
    pub(crate) hedges: u32,
    pub(crate) waits: u32,
    pub(crate) preferred: u32,
    pub(crate) last_resorts: u32,
    pub(crate) broke: u32,
    digest: u64,
    /// Every line of every call's trace, in the order of time.
    story: Vec<(usize, usize)>,
    broken: Option<String>,
}

/// What really happened at a deployment.
#[derive(Debug, Default)]
struct Shadow {
    in_flight: u32,
    /// It may not be asked before.
    must_rest: u64,
    /// Nothing justifies a rest beyond.
    may_rest: u64,
    /// Failures one after the other.
    row: u32,
    probe: Option<usize>,
    /// When each attempt began, and the tokens that its provider counts.
    taken: Vec<(u64, u64)>,
    /// Until when a health check's word holds that it is down.
    down: u64,
    /// In millionths of a dollar.
    spent: u64,
}

/// The way of a call.
#[derive(Debug)]
struct Course {
    wish: Wish,
    began: u64,
    bytes: u64,
    visited: Vec<Target>,
    stay: Stay,
    /// Deployments where an attempt of it is under way.
    under_way: Vec<usize>,
    wait: Option<Wait>,
    trace: Vec<String>,
    over: bool,
}

/// A leg that has no deployment yet.
#[derive(Clone, Copy, Debug)]
struct Wait {
    target: Target,
    since: u64,
    priority: i64,
}

/// What a call did at the group at hand.
#[derive(Debug, Default)]
struct Stay {
    /// Deployments that failed there.
    asked: Vec<usize>,
    /// Attempts by `order`.
    tries: Vec<u32>,
    /// Legs, but for those that were meant for others and found nobody.
    legs: u32,
    /// Whether the last one was for those who were asked.
    paid: bool,
    /// The highest count of retries that any failure allowed.
    count: u32,
    /// The `order` that was left with all below it, since the class of a failure there is not
    /// tried again. The next one stands in as a fallback does.
    closed: Option<u32>,
    left: Option<Leaving>,
    /// A stream that broke is being gone on with.
    goes_on: bool,
    /// When the last leg began, and whether it was doubled.
    began: u64,
    doubled: bool,
    /// Attempts beside others, which no count bounds.
    hedges: u32,
}

/// How things stood when the last leg had failed.
#[derive(Debug)]
struct Leaving {
    at: u64,
    /// `None`: nobody could be asked.
    class: Option<Class>,
    /// How often the class is tried again; `None` if it is not.
    count: Option<u32>,
    /// Who could be asked and was not.
    unasked: Vec<usize>,
    /// Somebody who was asked could be asked again.
    again: bool,
}

/// An attempt under way.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Open {
    books: Books,
    call: usize,
    deployment: usize,
    number: usize,
    direct: bool,
    probe: bool,
    /// When something last came of it.
    spoke: u64,
    /// It has begun and falls silent.
    pub(crate) stalls: bool,
    /// Nothing has come yet.
    pub(crate) late: bool,
    over: bool,
}

impl Books {
    /// Empty books.
    pub(crate) fn new(plan: Arc<Plan>, router: Router, live: Arc<Live>) -> Self {
        let board = router.board(&live);
        let id = |one: &Deployment| board.deployment(&one.id).expect("it is in the table");
        let ids = plan.deployments.iter().map(id).collect();
        let shadows = plan.deployments.iter().map(|_| Shadow::default()).collect();
        Self(Arc::new(Mutex::new(Kept {
            plan,
            router,
            live,
            began: Instant::now(),
            ids,
            shadows,
            calls: Vec::new(),
            paid: 0,
            waiting: Vec::new(),
            attempts: 0,
            answered: 0,
            lost: 0,
            broken_streams: 0,
            continued: 0,
            probes: 0,
            refused_in_vain: 0,
            hedges: 0,
            waits: 0,
            preferred: 0,
            last_resorts: 0,
            broke: 0,
            digest: 0xcbf2_9ce4_8422_2325,
            story: Vec::new(),
            broken: None,
        })))
    }

    /// The books themselves.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("nobody panics who holds them")
    }

    /// An attempt begins.
    pub(crate) fn begin(&self, call: &Call, id: DeploymentId) -> Open {
        let mut kept = self.lock();
        let at = number_of(call);
        let direct = matches!(call.target, Target::Deployment(_));
        let deployment = kept.place(id);
        let (number, probe) = kept.begin(at, deployment, (call.target, direct));
        let spoke = kept.now();
        Open {
            books: self.clone(),
            call: at,
            deployment,
            number,
            direct,
            probe,
            spoke,
            stalls: false,
            late: false,
            over: false,
        }
    }
}

/// The number of a call, which its id is.
pub(crate) fn number_of(call: &Call) -> usize {
    let text = call.id.to_str().expect("plain");
    text.parse().expect("a number")
}

impl Open {
    /// Whose it is.
    pub(crate) fn deployment(&self) -> usize {
        self.deployment
    }

    /// Which attempt of the deployment it is.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The provider counts so many tokens in all.
    pub(crate) fn takes(&self, tokens: u64) {
        let mut kept = self.books.lock();
        let number = self.number;
        let taken = &mut kept.shadows[self.deployment].taken;
        taken[number].1 = tokens;
    }

    /// Something of it has come.
    pub(crate) fn spoke(&mut self) {
        self.spoke = self.books.lock().now();
    }

    /// The answer has begun.
    pub(crate) fn answered(&mut self) {
        let mut kept = self.books.lock();
        let shadow = &mut kept.shadows[self.deployment];
        shadow.row = 0;
        if self.probe || self.direct {
            shadow.must_rest = 0;
        }
        if shadow.probe == Some(self.number) {
            shadow.probe = None;
        }
        drop(kept);
        // From here on it is a request as any other.
        self.probe = false;
    }

    /// It ended well.
    pub(crate) fn complete(mut self) {
        let mut kept = self.books.lock();
        let shadow = &mut kept.shadows[self.deployment];
        shadow.row = 0;
        let tokens = shadow.taken[self.number].1;
        kept.pays(self.deployment, tokens);
        drop(kept);
        self.end(None, None);
    }

    /// It failed; `after` is what its provider asked to wait, in seconds.
    pub(crate) fn failed(mut self, class: Class, after: Option<u64>) {
        self.end(Some(class), after);
    }

    fn end(&mut self, class: Option<Class>, after: Option<u64>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let mut kept = self.books.lock();
        let now = kept.now();
        let (deployment, number) = (self.deployment, self.number);
        let line = format!("{now} d{deployment} #{number} ends {class:?}");
        kept.note(self.call, line);
        if let Some(class) = class {
            kept.fails(self, class, after, now);
        }
        let under_way = &mut kept.calls[self.call].under_way;
        if let Some(place) = under_way.iter().position(|one| *one == deployment) {
            under_way.remove(place);
        }
        let shadow = &mut kept.shadows[self.deployment];
        shadow.in_flight -= 1;
        if shadow.probe == Some(self.number) {
            shadow.probe = None;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if (self.stalls || self.late) && !self.over {
            // Whether it was left for its silence or the caller went away is not known here.
            let mut kept = self.books.lock();
            let now = kept.now();
            kept.may_rest(self.deployment, None, now);
            let most = kept.plan.rules.idle.map_or(IDLE, |seconds| seconds * 1_000);
            if self.stalls && now > self.spoke + most + 2 {
                let what = format!(
                    "d{} is silent since {} and is left only now",
                    self.deployment, self.spoke
                );
                kept.breaks(Some(self.call), &what);
            }
        }
        self.end(None, None);
    }
}

impl Kept {
    /// Milliseconds since the run began.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).expect("not so long")
    }

    /// What all that happened comes to.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// The first promise that was broken.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// The table that is in force from now on.
    pub(crate) fn reloaded(&mut self, live: Arc<Live>) {
        self.live = live;
    }

    /// A call comes; its number.
    pub(crate) fn comes(&mut self, wish: Wish) -> usize {
        let began = self.now();
        let trace = vec![format!("{began} wish {wish:?}")];
        self.calls.push(Course {
            wish,
            began,
            bytes: 0,
            visited: Vec::new(),
            stay: Stay::default(),
            under_way: Vec::new(),
            wait: None,
            trace,
            over: false,
        });
        self.calls.len() - 1
    }

    /// Writes a line into a call's trace.
    pub(crate) fn note(&mut self, call: usize, line: String) {
        for byte in line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let trace = &mut self.calls[call].trace;
        self.story.push((call, trace.len()));
        trace.push(line);
    }

    /// A promise was broken.
    pub(crate) fn breaks(&mut self, call: Option<usize>, what: &str) {
        if self.broken.is_some() {
            return;
        }
        let now = self.now();
        let trace = call.map_or(String::new(), |call| {
            format!("\ncall {call}:\n  {}", self.calls[call].trace.join("\n  "))
        });
        // What befell the deployment that it is about, last.
        let name = what.split(' ').find(|word| word.starts_with('d'));
        let about = |line: &&str| line.split(' ').any(|word| Some(word) == name);
        let lines = self.story.iter().rev();
        let lines = lines.map(|(call, line)| &*self.calls[*call].trace[*line]);
        let mut story: Vec<&str> = lines.filter(about).take(40).collect();
        story.reverse();
        let story = story.join("\n  ");
        self.broken = Some(format!("after {now} ms: {what}{trace}\nbefore:\n  {story}"));
    }

    fn place(&self, id: DeploymentId) -> usize {
        let found = self.ids.iter().position(|known| *known == id);
        found.expect("a deployment of the table")
    }

    fn members(&self, target: Target) -> Vec<usize> {
        match target {
            Target::Deployment(id) => vec![self.place(id)],
            Target::Group(group) => {
                let name = &*self.live.routes().groups[usize::from(group.0)].name;
                let found = self.plan.groups.iter().find(|group| group.name == name);
                found.expect("a group of the plan").members.clone()
            }
        }
    }

    fn begin(
        &mut self,
        call: usize,
        deployment: usize,
        (target, direct): (Target, bool),
    ) -> (usize, bool) {
        let now = self.now();
        self.attempts += 1;
        let board = self.router.board(&self.live);
        let stats = board.stats(self.ids[deployment]);
        let health = stats.health(self.router.clock().now());
        let probe = health == Health::Probing && !direct;
        self.probes += u32::from(probe);
        let shadow = &mut self.shadows[deployment];
        shadow.in_flight += 1;
        shadow.taken.push((now, 0));
        let number = shadow.taken.len() - 1;
        let rests = now < shadow.must_rest;
        let second = probe && shadow.probe.is_some();
        if probe {
            shadow.probe = Some(number);
        }
        let (real, said) = (shadow.in_flight, stats.in_flight());
        self.calls[call].under_way.push(deployment);
        self.note(
            call,
            format!("{now} asks d{deployment} #{number} {health:?} in flight {real}"),
        );
        if !direct && (rests || matches!(health, Health::Cooling(_))) {
            let until = self.shadows[deployment].must_rest;
            self.breaks(
                Some(call),
                &format!("d{deployment} was asked while it rests (until {until}, {health:?})"),
            );
        }
        if second {
            self.breaks(Some(call), &format!("a second probe of d{deployment}"));
        }
        if real != said {
            self.breaks(
                Some(call),
                &format!("d{deployment} has {real} in flight, and the router says {said}"),
            );
        }
        let plan = Arc::clone(&self.plan);
        let one = &plan.deployments[deployment];
        if one.parallel.is_some_and(|most| real > most) {
            self.breaks(Some(call), &format!("d{deployment} has {real} at once"));
        }
        if !self.permitted(&self.calls[call].wish, target, deployment) {
            self.breaks(Some(call), &format!("d{deployment} may not be asked"));
        }
        if self.is_broke(deployment) {
            self.breaks(Some(call), &format!("d{deployment} has no money left"));
        }
        self.serves(call, now);
        if !direct {
            self.chosen(call, deployment, target, health);
        }
        self.side_by_side(call);
        self.tries(call, deployment, one.order);
        (number, probe)
    }

    /// Nobody who would have come before is passed over.
    fn chosen(&mut self, call: usize, deployment: usize, target: Target, health: Health) {
        let plan = Arc::clone(&self.plan);
        let course = &self.calls[call];
        let preferred = self.preferred(&course.wish, target);
        let board = self.router.board(&self.live);
        let order = |at: usize| plan.deployments[at].order;
        let free = |at: &usize| {
            // Of a level that was left with those below it nobody knows here.
            order(*at) >= order(deployment)
                && !course.stay.asked.contains(at)
                && !course.under_way.contains(at)
                && self.available(&board, course, target, *at)
        };
        let others: Vec<usize> = self.members(target).into_iter().filter(free).collect();
        let down = health == Health::Unhealthy;
        let wanted = preferred.contains(&deployment);
        let before = others
            .iter()
            .find(|at| down || !wanted && preferred.contains(at));
        let what = before.map(|before| {
            format!("d{deployment} is asked ({health:?}), and d{before} comes before it")
        });
        self.last_resorts += u32::from(down);
        self.preferred += u32::from(wanted);
        if let Some(what) = what {
            self.breaks(Some(call), &what);
        }
    }

    /// Whom a request prefers: what the first rule says that says anything.
    fn preferred(&self, wish: &Wish, target: Target) -> &[usize] {
        let Target::Group(group) = target else {
            return &[];
        };
        let name = &*self.live.routes().groups[usize::from(group.0)].name;
        for rule in &self.plan.rules.preferences {
            let concerns = rule
                .group
                .is_none_or(|group| self.plan.groups[group].name == name);
            let holds = rule.tag.is_none_or(|tag| wish.tag == Some(tag))
                && rule.user.is_none_or(|user| wish.session == Some(user));
            match (concerns, holds) {
                (false, _) => {}
                (true, true) => return &rule.prefer,
                (true, false) if rule.otherwise.is_empty() => {}
                (true, false) => return &rule.otherwise,
            }
        }
        &[]
    }

    /// A call has one attempt under way, or two side by side at two deployments if it is hedged.
    fn side_by_side(&mut self, call: usize) {
        let most = 1 + usize::from(self.plan.rules.hedge.is_some());
        let under_way = &self.calls[call].under_way;
        let twice = under_way.len() == 2 && under_way[0] == under_way[1];
        if under_way.len() > most || twice {
            let what = format!("attempts side by side: {under_way:?}");
            self.breaks(Some(call), &what);
        }
    }

    /// A call's waiting for a deployment is over. Nobody waits who comes before it.
    fn serves(&mut self, call: usize, now: u64) {
        let Some(own) = self.stops_waiting(call, now) else {
            return;
        };
        let (size, seconds) = self.plan.rules.queue.unwrap_or(QUEUE);
        let whole = self.plan.rules.request_timeout.map_or(WHOLE, |s| s * 1_000);
        // Who has waited too long asks once more, in whatever place.
        let ends = |wait: &Wait, call: usize| {
            now >= wait.since + seconds * 1_000 || now >= self.calls[call].began + whole
        };
        let line = self.line(own.target, now);
        // One without a priority that could go elsewhere does not wait, and asks as it comes.
        let passes = own.priority == i64::MAX && own.since == now;
        let waiting = |one: &&usize| {
            let wait = self.calls[**one].wait;
            wait.is_some_and(|wait| wait.target == own.target)
        };
        let full = self.waiting.iter().filter(waiting).count() >= size;
        if passes || full || ends(&own, call) {
            return;
        }
        let before = line.into_iter().find(|one| {
            let wait = self.calls[*one].wait;
            wait.is_some_and(|wait| wait.priority < own.priority && !ends(&wait, *one))
        });
        if let Some(before) = before {
            let what = format!("call {before} waits and comes before it: {own:?}");
            self.breaks(Some(call), &what);
        }
    }

    /// Those who wait at a target, and did not come just now.
    fn line(&self, target: Target, now: u64) -> Vec<usize> {
        let waits = |call: &usize| {
            let wait = self.calls[*call].wait;
            wait.is_some_and(|wait| wait.target == target && wait.since < now)
        };
        self.waiting.iter().copied().filter(waits).collect()
    }

    fn stops_waiting(&mut self, call: usize, now: u64) -> Option<Wait> {
        let wait = self.calls[call].wait.take()?;
        self.waiting.retain(|one| *one != call);
        self.waits += u32::from(wait.since < now);
        let (_, seconds) = self.plan.rules.queue.unwrap_or(QUEUE);
        if now > wait.since + seconds * 1_000 + 2 {
            self.breaks(Some(call), &format!("it waits too long: {wait:?}"));
        }
        Some(wait)
    }

    fn starts_waiting(&mut self, call: usize, target: Target, now: u64) {
        let rules = &self.plan.rules;
        let priority = self.calls[call].wish.priority;
        let priority = priority.or(rules.default_priority.map(i64::from));
        self.calls[call].wait = Some(Wait {
            target,
            since: now,
            priority: priority.unwrap_or(i64::MAX),
        });
        self.waiting.push(call);
        let (size, _) = rules.queue.unwrap_or(QUEUE);
        let waiting = self.line(target, now).len();
        if waiting > size {
            let what = format!("{waiting} wait at {target:?}, of {size}");
            self.breaks(Some(call), &what);
        }
    }

    /// Whether nothing may be spent at a deployment any more.
    fn is_broke(&self, at: usize) -> bool {
        let all = || self.shadows.iter().map(|shadow| shadow.spent).sum::<u64>();
        let own = self.plan.deployments[at].budget;
        own.is_some_and(|most| self.shadows[at].spent >= most)
            || self
                .plan
                .rules
                .provider_budget
                .is_some_and(|most| all() >= most)
    }

    /// An answer is paid for, as the layer of budgets does it.
    fn pays(&mut self, at: usize, tokens: u64) {
        let before = self.is_broke(at);
        let cost = tokens * PRICE;
        self.shadows[at].spent += cost;
        let paid = Usd::from_decimal(&dollars(cost)).expect("an amount");
        self.router.spent(&self.live, self.ids[at], paid);
        self.broke += u32::from(!before && self.is_broke(at));
    }

    /// A round of health checks, whose word holds for a time.
    pub(crate) fn check_health(&mut self, holds: u64) {
        let (now, plan) = (self.now(), Arc::clone(&self.plan));
        for (at, faults) in plan.faults.iter().enumerate() {
            let mut faults = faults.iter();
            let down = faults.any(|one| (one.from..one.to).contains(&now));
            self.shadows[at].down = if down { now + holds } else { 0 };
            let word = down.then(|| millis(holds));
            self.router.checked(&self.live, self.ids[at], word);
        }
    }

    /// Counts an attempt of a stay: those who failed are asked again only as often as is allowed.
    fn tries(&mut self, call: usize, deployment: usize, order: u32) {
        let stay = &mut self.calls[call].stay;
        let order = order as usize;
        if stay.tries.len() <= order {
            stay.tries.resize(order + 1, 0);
        }
        let before = stay.tries[order];
        stay.tries[order] += 1;
        let count = stay.count + stay.hedges;
        let goes_on = stay.goes_on;
        self.continued += u32::from(goes_on);
        let stay = &self.calls[call].stay;
        if goes_on && stay.asked.contains(&deployment) {
            self.breaks(
                Some(call),
                &format!("d{deployment} is asked to go on again"),
            );
        } else if stay.asked.contains(&deployment) && before > count {
            self.breaks(
                Some(call),
                &format!("d{deployment} is asked again, after {before} attempts of {count} + 1"),
            );
        }
    }

    /// A leg of a call begins beside the one that is under way.
    pub(crate) fn hedge_begins(&mut self, call: &Call) {
        let (at, now) = (number_of(call), self.now());
        self.note(at, format!("{now} hedge"));
        self.hedges += 1;
        // It is paid for as a retry is.
        self.paid += 1;
        let after = self.plan.rules.hedge.map(|seconds| seconds * 1_000);
        let stay = &mut self.calls[at].stay;
        let twice = std::mem::replace(&mut stay.doubled, true);
        stay.hedges += 1;
        let began = stay.began;
        if twice || after.is_none_or(|after| now < began + after) {
            let what = format!("a hedge, twice {twice}, of what began at {began}");
            self.breaks(Some(at), &what);
        }
    }

    /// A leg of a call begins that is no hedge.
    pub(crate) fn leg_begins(&mut self, call: &Call, ask: &Ask) {
        let (at, target) = (number_of(call), call.target);
        // Whether it goes to those who were asked.
        let paid = ask.again && !ask.tried.is_empty();
        let now = self.now();
        self.note(at, format!("{now} leg to {target:?}"));
        // Of a call that is hedged it is not known here which of two legs waits.
        if self.plan.rules.hedge.is_none() {
            self.starts_waiting(at, target, now);
        }
        self.paid += u32::from(paid);
        let course = &mut self.calls[at];
        course.bytes = call.body.len() as u64;
        course.stay.goes_on |= call.resumed.is_some();
        let goes_on = course.visited.last() == Some(&target);
        if !goes_on {
            if course.visited.contains(&target) {
                self.breaks(Some(at), &format!("{target:?} is visited twice"));
            }
            self.leaves(at);
            let course = &mut self.calls[at];
            course.visited.push(target);
            course.stay = Stay::default();
            let used = self.calls[at].visited.len() - 1;
            let most = self.most_fallbacks(&self.calls[at].wish);
            if used > most {
                self.breaks(Some(at), &format!("{used} fallbacks of {most}"));
            }
        }
        let stay = &mut self.calls[at].stay;
        stay.legs += 1;
        (stay.began, stay.doubled) = (now, false);
        stay.paid = paid;
        stay.goes_on = call.resumed.is_some();
        if call.resumed.is_some() && paid {
            self.breaks(Some(at), "those who were asked are asked to go on");
        }
    }

    /// A leg has failed at `failed` with this class, or found nobody.
    pub(crate) fn leg_failed(
        &mut self,
        call: &Call,
        hedge: bool,
        failed: Option<(DeploymentId, Class)>,
    ) {
        let (number, now) = (number_of(call), self.now());
        let target = call.target;
        if failed.is_none() {
            self.stops_waiting(number, now);
        }
        let line = match failed {
            Some((id, class)) => format!("{now} failed at d{}: {class:?}", self.place(id)),
            None => format!("{now} nobody"),
        };
        self.note(number, line);
        self.refused_in_vain += u32::from(failed.is_none());
        if hedge && failed.is_none() {
            // The other one decides.
            return;
        }
        if let Some((id, _)) = failed {
            let place = self.place(id);
            let asked = &mut self.calls[number].stay.asked;
            if !asked.contains(&place) {
                asked.push(place);
            }
        }
        let members = self.members(target);
        let board = self.router.board(&self.live);
        let course = &self.calls[number];
        let (asked, free): (Vec<usize>, Vec<usize>) = members
            .into_iter()
            .partition(|one| course.stay.asked.contains(one));
        let can = |one: &usize| {
            !course.under_way.contains(one) && self.available(&board, course, target, *one)
        };
        let unasked: Vec<usize> = free.into_iter().filter(can).collect();
        let again = asked.iter().any(can);
        let class = failed.map(|(_, class)| class);
        let count =
            failed.and_then(|(id, class)| self.count(&course.wish, target, self.place(id), class));
        for one in 0..self.shadows.len() {
            self.audit(&board, number, one);
        }
        let plan = Arc::clone(&self.plan);
        let stay = &mut self.calls[number].stay;
        stay.count = stay.count.max(count.unwrap_or(0));
        stay.legs -= u32::from(class.is_none() && !stay.paid);
        if class.is_some() && count.is_none_or(|count| count == 0) {
            let order = |one: &usize| plan.deployments[*one].order;
            stay.closed = stay.asked.iter().map(order).max();
        }
        stay.left = Some(Leaving {
            at: now,
            class,
            count,
            unasked,
            again,
        });
    }

    /// Whether anybody may answer this.
    pub(crate) fn can_answer(&self, wish: &Wish) -> bool {
        let target = self
            .live
            .table()
            .resolve(&wish.model)
            .map(|found| found.target);
        let target = target.expect("a name of the table");
        let members = self.members(target);
        let can = |one: &usize| self.permitted(wish, target, *one) && !self.is_broke(*one);
        members.iter().any(can)
    }

    /// A caller went away.
    pub(crate) fn gone(&mut self, call: usize) {
        let now = self.now();
        self.stops_waiting(call, now);
        self.calls[call].over = true;
    }

    /// A call was answered.
    pub(crate) fn reached(&mut self, call: &Call) {
        self.answered += 1;
        self.calls[number_of(call)].over = true;
    }

    /// A stream ended with an error: nobody may be there who could have gone on.
    pub(crate) fn breaks_off(&mut self, call: usize) {
        self.broken_streams += 1;
        if self.plan.rules.midstream.is_some() {
            return;
        }
        self.calls[call].stay.goes_on = true;
        self.gives_up(call);
    }

    /// A call was lost.
    pub(crate) fn lost(&mut self, call: &Call, internal: bool) {
        let (at, now) = (number_of(call), self.now());
        self.lost += 1;
        self.stops_waiting(at, now);
        self.note(at, format!("{now} lost"));
        self.calls[at].over = true;
        if internal {
            self.breaks(Some(at), "a fault of the gateway's own");
        }
        if self.out_of_time(at, now, 0) {
            return;
        }
        self.gives_up(at);
    }

    /// A call has come to its end without an answer: nobody may be left.
    fn gives_up(&mut self, at: usize) {
        self.leaves(at);
        let course = &self.calls[at];
        let used = course.visited.len() - 1;
        if used >= self.most_fallbacks(&course.wish) {
            return;
        }
        let last = course.stay.left.as_ref().and_then(|left| left.class);
        let ahead = self
            .chain(course)
            .into_iter()
            .chain(last.map_or_else(Vec::new, |last| self.special(course.visited[used], last)))
            .find(|target| !course.visited.contains(target));
        if let Some(target) = ahead {
            self.breaks(Some(at), &format!("{target:?} was not tried"));
        }
    }

    fn out_of_time(&self, call: usize, now: u64, ahead: u64) -> bool {
        let whole = self.plan.rules.request_timeout;
        let whole = whole.map_or(WHOLE, |seconds| seconds * 1_000);
        now + ahead + 2 >= self.calls[call].began + whole
    }

    /// A call leaves a group: nobody may be there who could have answered.
    fn leaves(&mut self, call: usize) {
        let course = &self.calls[call];
        let Some(left) = &course.stay.left else {
            return;
        };
        let stay = &course.stay;
        let order = |one: &usize| self.plan.deployments[*one].order;
        let closed = |one: &&usize| stay.closed.is_none_or(|closed| order(one) > closed);
        let passed_over = left.unasked.iter().find(closed);
        let levels = stay.asked.iter().any(|one| order(one) > 0);
        let again = match left.class.map(again) {
            Some(Again::Anybody) => left.class != Some(Class::RateLimit),
            Some(Again::IfTold) => true,
            _ => false,
        };
        let gave_up = !stay.goes_on
            && !levels
            && again
            && left.again
            && left.count.is_some_and(|count| stay.legs <= count)
            && self.paid + self.pausing() < BUDGET
            && !self.out_of_time(call, left.at, LONGEST_PAUSE);
        let what = if let Some(one) = passed_over {
            format!("d{one} could have answered: {left:?}")
        } else if gave_up {
            format!("it was given up too early: {left:?} {} legs", stay.legs)
        } else {
            return;
        };
        self.breaks(Some(call), &what);
    }

    /// Calls that have failed somewhere and may be about to be tried again, which is paid for by then.
    fn pausing(&self) -> u32 {
        let pauses = |course: &&Course| {
            let left = course.stay.left.as_ref();
            !course.over && left.is_some_and(|left| left.at >= course.stay.began)
        };
        u32::try_from(self.calls.iter().filter(pauses).count()).expect("a few")
    }

    /// The groups that stand in for the first, as the request or the table has them.
    fn chain(&self, course: &Course) -> Vec<Target> {
        let routes = self.live.routes();
        if let Some(own) = &course.wish.fallbacks {
            let target = |name: &String| self.live.table().resolve(name).map(|found| found.target);
            return own.iter().filter_map(target).collect();
        }
        match course.visited[0] {
            Target::Group(group) => routes.groups[usize::from(group.0)].fallbacks.to_vec(),
            Target::Deployment(_) => routes.router.default_fallbacks.to_vec(),
        }
    }

    fn most_fallbacks(&self, wish: &Wish) -> usize {
        let file = self.plan.rules.max_fallbacks.unwrap_or(5);
        let most = wish
            .max_fallbacks
            .map_or(file, |most| most.min(file.max(16)));
        if wish.no_fallbacks { 0 } else { most as usize }
    }

    /// How often a failure is tried again at its group, by LiteLLM's order of who says so.
    fn count(&self, wish: &Wish, target: Target, deployment: usize, class: Class) -> Option<u32> {
        let rules = &self.plan.rules;
        let group = match target {
            Target::Group(group) => Some(&*self.live.routes().groups[usize::from(group.0)].name),
            Target::Deployment(_) => None,
        };
        let of_group = rules.group_policy.as_ref();
        let of_group = of_group.filter(|(name, _)| Some(&**name) == group);
        let told = of_group
            .and_then(|(_, policy)| in_policy(policy, class))
            .or_else(|| in_policy(rules.retry_policy.as_ref()?, class));
        match again(class) {
            Again::Nobody => return None,
            Again::IfTold => {
                told.filter(|told| *told > 0)?;
                if !self.special(target, class).is_empty() {
                    return None;
                }
            }
            Again::Anybody | Again::Others => {}
        }
        let own = self.plan.deployments[deployment].retries;
        Some(wish.retries.or(own).or(told).unwrap_or(rules.retries))
    }

    /// The list that a group has for a class.
    fn special(&self, target: Target, class: Class) -> Vec<Target> {
        let Target::Group(group) = target else {
            return Vec::new();
        };
        let group = &self.live.routes().groups[usize::from(group.0)];
        match class {
            Class::ContextWindow => group.context_window_fallbacks.to_vec(),
            Class::ContentPolicy => group.content_policy_fallbacks.to_vec(),
            _ => Vec::new(),
        }
    }

    /// Whether a deployment may answer this request, whatever its state.
    pub(crate) fn permitted(&self, wish: &Wish, target: Target, at: usize) -> bool {
        let (plan, rules) = (&self.plan, &self.plan.rules);
        let one = &plan.deployments[at];
        if rules.checks && (wish.vision && !one.vision || wish.long && one.window <= SMALL_WINDOW) {
            return false;
        }
        if wish.region.is_some() && one.region != wish.region {
            return false;
        }
        if !rules.tags || matches!(target, Target::Deployment(_)) {
            return true;
        }
        let members = self.members(target);
        let has = |tag: &str| {
            let mut members = members.iter();
            members.any(|member| plan.deployments[*member].tag == Some(tag))
        };
        match wish.tag {
            Some(tag) if has(tag) => one.tag == Some(tag),
            _ if has("default") => one.tag == Some("default"),
            tag => tag.is_none(),
        }
    }

    /// Whether a deployment could be asked now: permitted, not resting, with head-room.
    fn available(&self, board: &Board, course: &Course, target: Target, at: usize) -> bool {
        let direct = matches!(target, Target::Deployment(_));
        let one = &self.plan.deployments[at];
        let stats = board.stats(self.ids[at]);
        let now = self.router.clock().now();
        let well = direct || matches!(stats.health(now), Health::Up | Health::HalfOpen);
        let parallel = one.parallel.is_none_or(|most| stats.in_flight() < most);
        let kept = self.plan.keeps_limits();
        let [requests, tokens] = stats.quota().used(now);
        let reserve = course.bytes / 4 + course.wish.max_tokens;
        let room = !kept
            || one.rpm.is_none_or(|rpm| requests < rpm)
                && one.tpm.is_none_or(|tpm| tokens + reserve <= tpm);
        let pays = !self.is_broke(at);
        self.permitted(&course.wish, target, at) && well && parallel && room && pays
    }

    /// The router's view of a deployment has its grounds in what really happened.
    fn audit(&mut self, board: &Board, call: usize, at: usize) {
        let stats = board.stats(self.ids[at]);
        let moment = self.router.clock().now();
        let now = self.now();
        let shadow = &self.shadows[at];
        let what = match stats.health(moment) {
            Health::Cooling(until) => {
                let rest = u64::try_from(until.since(moment).as_millis()).unwrap_or(u64::MAX);
                (now + rest > shadow.may_rest + 2)
                    .then(|| format!("d{at} rests for {rest} ms more, without a reason"))
            }
            Health::Probing => (shadow.in_flight == 0)
                .then(|| format!("d{at} is said to be tried, and nobody is at it")),
            Health::Unhealthy => (now >= shadow.down)
                .then(|| format!("d{at} is said to be down, though nobody found it so")),
            Health::Up | Health::HalfOpen => None,
        };
        if let Some(what) = what {
            self.breaks(Some(call), &what);
        }
    }

    /// A failure, by the rules of cooldown as the contract has them.
    fn fails(&mut self, open: &Open, class: Class, after: Option<u64>, now: u64) {
        let plan = Arc::clone(&self.plan);
        let (rules, one) = (&plan.rules, &plan.deployments[open.deployment]);
        let shadow = &mut self.shadows[open.deployment];
        let caller_s = matches!(
            class,
            Class::ContextWindow | Class::ContentPolicy | Class::BadRequest | Class::Conflict
        );
        if caller_s {
            if open.probe || open.direct {
                (shadow.must_rest, shadow.row) = (0, 0);
            }
            return;
        }
        shadow.row += 1;
        let [time, opened] = self.may_rest(open.deployment, after, now);
        let shadow = &self.shadows[open.deployment];
        if rules.disabled {
            return;
        }
        let members = plan.groups[one.group].members.len();
        let fallback =
            !plan.groups[one.group].fallbacks.is_empty() || !rules.default_fallbacks.is_empty();
        let alone = members == 1
            && match rules.single {
                Some("always") => false,
                Some(_) => true,
                None => !fallback || rules.max_fallbacks == Some(0),
            };
        let counted = rules.allowed_fails.is_some_and(|count| count != 3)
            || rules.allowed_policy
                && matches!(
                    class,
                    Class::RateLimit
                        | Class::Server
                        | Class::Connect
                        | Class::Malformed
                        | Class::Cut
                );
        let lasting = matches!(class, Class::Authentication | Class::NotFound);
        let rest = if rules.breaker.is_some_and(|(count, _)| shadow.row >= count) {
            opened
        } else if open.probe {
            // More failures may be known than are here, of streams that fell silent.
            rules.breaker.map_or(time, |_| time.min(opened))
        } else if !counted && !alone && !open.direct && (class == Class::RateLimit || lasting) {
            time
        } else {
            0
        };
        if rest > 0 {
            let shadow = &mut self.shadows[open.deployment];
            shadow.must_rest = shadow.must_rest.max(now + rest);
        }
    }

    /// A failure justifies a rest: of the first time, or of the second by the breaker.
    fn may_rest(&mut self, deployment: usize, after: Option<u64>, now: u64) -> [u64; 2] {
        let rules = &self.plan.rules;
        let own = self.plan.deployments[deployment].cooldown;
        let after = after
            .filter(|after| *after > 0)
            .map(|after| after.min(3_600));
        let time = own.or(after).unwrap_or(rules.cooldown) * 1_000;
        // A breaker's time is not shorter than what the provider asked for.
        let opened = rules.breaker.map_or(0, |(_, seconds)| {
            seconds.max(after.unwrap_or_default()) * 1_000
        });
        let shadow = &mut self.shadows[deployment];
        shadow.may_rest = shadow.may_rest.max(now + time.max(opened));
        [time, opened]
    }

    /// What has to hold when all is over and every rest has passed.
    pub(crate) fn close(&mut self) {
        let board = self.router.board(&self.live);
        let now = self.router.clock().now();
        for at in 0..self.shadows.len() {
            let stats = board.stats(self.ids[at]);
            let (real, said) = (self.shadows[at].in_flight, stats.in_flight());
            if (real, said) != (0, 0) {
                self.breaks(
                    None,
                    &format!("d{at} has {real} in flight at the end, {said} said"),
                );
            }
            let health = stats.health(now);
            if !matches!(health, Health::Up | Health::HalfOpen) {
                self.breaks(None, &format!("d{at} is {health:?} at the end"));
            }
        }
        if let Some(call) = self.calls.iter().position(|course| !course.over) {
            self.breaks(Some(call), "it never ended");
        }
        self.check_limits();
    }

    /// No span of a minute has more than the limits of a deployment, or of a quota.
    fn check_limits(&mut self) {
        let plan = Arc::clone(&self.plan);
        for (at, one) in plan.deployments.iter().enumerate() {
            let same = |other: &Deployment| one.quota.is_some() && other.quota == one.quota;
            let each = plan.deployments.iter().enumerate();
            let sharing: Vec<usize> = each
                .filter(|(other, deployment)| *other == at || same(deployment))
                .map(|(other, _)| other)
                .collect();
            if sharing[0] != at || !plan.keeps_limits() {
                continue;
            }
            let mut taken: Vec<(u64, u64)> = sharing
                .iter()
                .flat_map(|one| self.shadows[*one].taken.iter().copied())
                .collect();
            taken.sort_unstable();
            let (mut first, mut tokens) = (0, 0);
            for (place, (then, took)) in taken.iter().enumerate() {
                tokens += took;
                while taken[first].0 + MINUTE <= *then {
                    tokens -= taken[first].1;
                    first += 1;
                }
                let requests = (place - first + 1) as u64;
                if one.rpm.is_some_and(|rpm| requests > rpm) {
                    self.breaks(
                        None,
                        &format!("d{at} had {requests} requests in the minute before {then}"),
                    );
                }
                if one.tpm.is_some_and(|tpm| tokens > tpm) {
                    self.breaks(
                        None,
                        &format!("d{at} had {tokens} tokens in the minute before {then}"),
                    );
                }
            }
        }
    }

    /// How often each deployment was asked, in the order of time.
    pub(crate) fn shares(&self) -> Vec<u64> {
        let count = |shadow: &Shadow| shadow.taken.len() as u64;
        self.shadows.iter().map(count).collect()
    }

    /// How many calls came.
    pub(crate) fn came(&self) -> usize {
        self.calls.len()
    }
}

fn in_policy(policy: &Policy, class: Class) -> Option<u32> {
    match class {
        Class::Timeout => policy.timeout,
        Class::RateLimit => policy.rate_limit,
        Class::Authentication | Class::ContentPolicy => None,
        Class::ContextWindow | Class::BadRequest | Class::NotFound | Class::Conflict => {
            policy.bad_request
        }
        Class::Server | Class::Connect | Class::Malformed | Class::Cut => policy.server,
    }
}
