//! Figures of several turns, as a table.

use crate::load::Run;
use std::fmt;
use std::time::Duration;

/// One turn of one way.
pub(crate) struct Measured {
    pub(crate) run: Run,
    pub(crate) cpu: Duration,
}

/// The figures of a turn that the table shows.
#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    cpu: f64,
    first: [f64; 2],
    whole: [f64; 2],
}

impl Figures {
    fn of(measured: Measured) -> Self {
        let Measured { run, cpu } = measured;
        let count = u32::try_from(run.times.len()).map_or(f64::INFINITY, f64::from);
        let (first, whole): (Vec<_>, Vec<_>) = run.times.into_iter().unzip();
        Self {
            per_second: count / run.took.as_secs_f64(),
            cpu: micros(cpu) / count,
            first: quantiles(first),
            whole: quantiles(whole),
        }
    }
}

/// The turns of some ways, of which one is what the others are held against.
pub(crate) struct Table {
    names: Vec<&'static str>,
    turns: Vec<Vec<Figures>>,
    base: usize,
}

impl Table {
    /// `base` is the place of the way that the others are held against; those before it are not.
    pub(crate) fn new(names: impl IntoIterator<Item = &'static str>, base: usize) -> Self {
        let names: Vec<_> = names.into_iter().collect();
        Self {
            turns: names.iter().map(|_| Vec::new()).collect(),
            names,
            base,
        }
    }

    pub(crate) fn add(&mut self, place: usize, measured: Measured) {
        self.turns[place].push(Figures::of(measured));
    }

    fn median_of(&self, place: usize, figure: impl Fn(&Figures) -> f64) -> f64 {
        median(self.turns[place].iter().map(figure).collect())
    }

    /// The median of the ratios of each turn, and the smallest and the largest.
    fn ratio(&self, place: usize) -> [f64; 3] {
        let pairs = self.turns[place].iter().zip(&self.turns[self.base]);
        let ratios: Vec<_> = pairs.map(|(own, bare)| own.cpu / bare.cpu).collect();
        let (least, most) = ratios
            .iter()
            .fold((f64::MAX, f64::MIN), |(least, most), ratio| {
                (least.min(*ratio), most.max(*ratio))
            });
        [median(ratios), least, most]
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<34}{:>11}{:>12}{:>20}{:>22}{:>22}",
            "",
            "requests/s",
            "CPU µs",
            format!("CPU × {}", self.base + 1),
            "first byte p50/p99 µs",
            "last byte p50/p99 µs"
        )?;
        for (place, name) in self.names.iter().enumerate() {
            let per_second = self.median_of(place, |figures| figures.per_second);
            let name = format!("{} {name}", place + 1);
            write!(f, "{name:<34}{per_second:>11.0}")?;
            if place < self.base {
                write!(f, "{:>12}{:>20}", "–", "–")?;
            } else {
                let [ratio, least, most] = self.ratio(place);
                let ratio = format!("{ratio:.2} ({least:.2}–{most:.2})");
                write!(
                    f,
                    "{:>12.1}{ratio:>20}",
                    self.median_of(place, |figures| figures.cpu)
                )?;
            }
            for times in [
                |figures: &Figures| figures.first,
                |figures: &Figures| figures.whole,
            ] {
                let [p50, p99] = [0, 1]
                    .map(|place_of| self.median_of(place, |figures| times(figures)[place_of]));
                write!(f, "{:>22}", format!("{p50:.0} / {p99:.0}"))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn quantiles(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort_unstable();
    [times.len() / 2, times.len() * 99 / 100].map(|place| micros(times[place]))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
