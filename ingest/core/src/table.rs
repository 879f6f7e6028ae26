//! Series by number: pages, so that numbers may grow for ever while what is gone takes no memory.
use crate::record::SeriesId;
use crate::series::Series;

/// A page is given back when its last series is gone. Series that come together mostly go together.
const PAGE_SERIES: usize = 64;
/// Pages of one folder: the table of folders has half a megabyte where all numbers were given out.
const FOLDER_PAGES: usize = 1024;
const FOLDER_SERIES: usize = FOLDER_PAGES * PAGE_SERIES;

type Page = Box<[Option<Series>; PAGE_SERIES]>;
type Folder = Box<[Option<Page>; FOLDER_PAGES]>;

#[derive(Debug, Default)]
pub(crate) struct SeriesTable {
    folders: Vec<Option<Folder>>,
    len: usize,
}

impl SeriesTable {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, id: SeriesId) -> Option<&Series> {
        let place = Place::of(id);
        let folder = self.folders.get(place.folder)?.as_ref()?;
        folder[place.page].as_ref()?[place.slot].as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: SeriesId) -> Option<&mut Series> {
        let place = Place::of(id);
        let folder = self.folders.get_mut(place.folder)?.as_mut()?;
        folder[place.page].as_mut()?[place.slot].as_mut()
    }

    pub(crate) fn insert(&mut self, id: SeriesId, series: Series) {
        let place = Place::of(id);
        if place.folder >= self.folders.len() {
            self.folders.resize_with(place.folder + 1, || None);
        }
        let folder = self.folders[place.folder]
            .get_or_insert_with(|| Box::new([const { None }; FOLDER_PAGES]));
        let page =
            folder[place.page].get_or_insert_with(|| Box::new([const { None }; PAGE_SERIES]));
        if page[place.slot].replace(series).is_none() {
            self.len += 1;
        }
    }

    pub(crate) fn remove(&mut self, id: SeriesId) -> Option<Series> {
        let place = Place::of(id);
        let folder = self.folders.get_mut(place.folder)?.as_mut()?;
        let page = folder[place.page].as_mut()?;
        let series = page[place.slot].take()?;
        self.len -= 1;
        if page.iter().all(Option::is_none) {
            folder[place.page] = None;
            if folder.iter().all(Option::is_none) {
                self.folders[place.folder] = None;
            }
        }
        Some(series)
    }

    /// From `from` on, in the order of their numbers.
    pub(crate) fn iter_from(&self, from: SeriesId) -> impl Iterator<Item = (SeriesId, &Series)> {
        let first = Place::of(from);
        let folders = self.folders.iter().enumerate().skip(first.folder);
        folders
            .filter_map(|(number, folder)| Some((number, folder.as_ref()?)))
            .flat_map(move |(folder, pages)| {
                let skipped = if folder == first.folder {
                    first.page
                } else {
                    0
                };
                let pages = pages.iter().enumerate().skip(skipped);
                pages.filter_map(move |(page, series)| {
                    Some((
                        folder * FOLDER_SERIES + page * PAGE_SERIES,
                        series.as_ref()?,
                    ))
                })
            })
            .flat_map(|(number, page)| {
                page.iter().enumerate().filter_map(move |(slot, series)| {
                    Some((SeriesId((number + slot) as u32), series.as_ref()?))
                })
            })
            .skip_while(move |(id, _)| *id < from)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (SeriesId, &mut Series)> {
        self.folders
            .iter_mut()
            .enumerate()
            .filter_map(|(number, folder)| Some((number, folder.as_mut()?)))
            .flat_map(|(folder, pages)| {
                let pages = pages.iter_mut().enumerate();
                pages.filter_map(move |(page, series)| {
                    Some((
                        folder * FOLDER_SERIES + page * PAGE_SERIES,
                        series.as_mut()?,
                    ))
                })
            })
            .flat_map(|(number, page)| {
                page.iter_mut()
                    .enumerate()
                    .filter_map(move |(slot, series)| {
                        Some((SeriesId((number + slot) as u32), series.as_mut()?))
                    })
            })
    }
}

struct Place {
    folder: usize,
    page: usize,
    slot: usize,
}

impl Place {
    #[inline]
    fn of(id: SeriesId) -> Self {
        let number = id.0 as usize;
        Self {
            folder: number / FOLDER_SERIES,
            page: number / PAGE_SERIES % FOLDER_PAGES,
            slot: number % PAGE_SERIES,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::{FOLDER_SERIES, SeriesTable};
    use crate::record::SeriesId;
    use crate::series::Series;

    #[test]
    fn pages_come_and_go() {
        let mut table = SeriesTable::default();
        let numbers = [0, 1, 63, 64, 1000, FOLDER_SERIES as u32, u32::MAX];
        for number in numbers {
            table.insert(SeriesId(number), Series::new(Labels::default(), 0));
        }
        let listed = |table: &SeriesTable, from| -> Vec<u32> {
            table
                .iter_from(SeriesId(from))
                .map(|(id, _)| id.0)
                .collect()
        };
        assert_eq!(listed(&table, 0), numbers);
        assert_eq!(listed(&table, 2), numbers[2..]);
        assert_eq!(listed(&table, 65), numbers[4..]);
        assert_eq!(listed(&table, 1001), numbers[5..]);
        assert_eq!(listed(&table, u32::MAX), [u32::MAX]);
        let all: Vec<u32> = table.iter_mut().map(|(id, _)| id.0).collect();
        assert_eq!(all, numbers);
        assert_eq!(table.len(), 7);
        assert!(table.get(SeriesId(2)).is_none());
        assert!(table.remove(SeriesId(64)).is_some());
        assert!(table.remove(SeriesId(64)).is_none());
        assert!(table.folders[0].as_ref().unwrap()[1].is_none());
        assert_eq!(table.len(), 6);
        // What the largest number takes beside its page.
        assert_eq!(table.folders.len(), 1 << 16);
        assert_eq!(table.folders.iter().flatten().count(), 3);
        assert!(table.remove(SeriesId(u32::MAX)).is_some());
        assert_eq!(table.folders.iter().flatten().count(), 2);
    }
}
